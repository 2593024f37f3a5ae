"""What goes wrong at an exchange, as values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Fault:
    """Befalls the next ``times`` requests whose path and query match ``pattern``.

    ``kind``: answer with ``status``, ``headers`` and ``body``; ``hang`` without an answer; ``cut`` the connection in
    the middle of the body; ``corrupt`` the body but not its checksum.
    """

    pattern: str
    kind: Literal["status", "hang", "cut", "corrupt"] = "status"
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    times: int = 1

    def strikes(self, path: str) -> bool:
        """Whether it befalls this request; counts down."""
        if self.times <= 0 or not re.search(self.pattern, path):
            return False
        self.times -= 1
        return True
