"""The REST side: HTTP, JSON and the answers of TensorFlow Serving's REST API."""
