"""Jobs done by a Kubernetes cluster."""

__all__ = ["backend", "schedule"]
