"""The pipeline from trips to a served prediction: its settings, its nodes, its engines and its command line."""
