"""The four nets of the published table, in Keras layers of no particular backend."""

from trainer.networks.build import build_network

__all__ = ["build_network"]
