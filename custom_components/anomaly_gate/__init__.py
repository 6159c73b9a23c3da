"""A node that stops the pipeline where ExampleValidator found anomalies."""
