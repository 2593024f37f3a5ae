"""Jobs done by a Kubernetes cluster."""
