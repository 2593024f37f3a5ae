"""What the trainer and the launcher share: the contract, documents, storage and the registry. Light by rule."""

__version__ = "0.1.0"
