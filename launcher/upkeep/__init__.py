"""Looking after a store: what is wrong in it, what can be made again, what can be swept away."""

__all__ = ["check", "repair"]
