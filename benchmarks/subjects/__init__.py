"""What is measured: tuners, scripts, pipelines and models as a user would write them."""
