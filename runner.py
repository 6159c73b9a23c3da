"""The pipeline for TFX's command line and for whoever starts it by hand: one call of `.run()`.

The engine and all else come from environment variables, see docs/settings.md. In an activated environment:

    ENGINE=beam tfx pipeline create --engine beam --pipeline_path runner.py
    ENGINE=kubeflow tfx pipeline compile --engine kubeflow --pipeline_path runner.py
"""

from __future__ import annotations

from tfx_pipeline import errors, settings


def main() -> None:
    """Runs the pipeline on the engine of the settings; for Kubeflow, compiles it."""
    current = settings.load()
    # TFX takes seconds to load: a wrong setting is told before that.
    from tfx_pipeline import pipeline
    from tfx_pipeline.run import engine

    engine.dag_runner(current).run(pipeline.create_pipeline(current))


if __name__ == "__main__":
    with errors.told():
        main()
