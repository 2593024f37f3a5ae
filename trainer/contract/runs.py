"""Names of runs: sortable by time, and never the same twice."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def new_run(now: datetime | None = None) -> str:
    """``YYYYMMDD-HHMMSS-xxxx``, UTC."""
    return f"{now or datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
