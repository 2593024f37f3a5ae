"""A store in a bucket of S3, or of a server that speaks it."""

from atb.storage.s3.store import FIRST_SECONDS, PATIENCE_SECONDS, S3Store

__all__ = ["FIRST_SECONDS", "PATIENCE_SECONDS", "S3Store"]
