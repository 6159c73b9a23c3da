"""TFX components of this project. None of them knows the pipeline that uses it."""
