"""Bars from a user's own files, however they came to be written: read where their meaning is certain, else rejected."""

from __future__ import annotations

from trainer.bars.files.source import FilesSource

__all__ = ["FilesSource"]
