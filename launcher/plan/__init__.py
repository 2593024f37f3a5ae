"""What a run will do, and the seam to where it is done."""

__all__ = ["backend", "backends", "build", "cost", "options", "signals"]
