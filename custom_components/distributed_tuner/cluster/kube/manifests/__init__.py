"""The objects of a search, as they are sent to the API server."""
