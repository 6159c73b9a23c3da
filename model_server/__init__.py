"""A local model server for development that answers as TensorFlow Serving does.

Start it with `python -m model_server`; start and stop it from Python with `model_server.launch`.
"""
