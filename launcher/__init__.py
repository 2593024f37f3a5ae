"""The launcher: many trainings from one command, on this machine or as Kubernetes Jobs."""
