"""Chief and workers as Jobs of a Kubernetes cluster."""
