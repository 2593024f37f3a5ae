"""A launcher that continues run ``r1`` by trainings of ``tests.launcher.stub_server``: ``share STORE [LEASE]``."""

from __future__ import annotations

import sys
from dataclasses import replace

from launcher.plan.build import read_plan
from launcher.records.leases import Rules
from launcher.worker.backend import LocalBackend
from tests.launcher.worker.lossy import open_test_store
from tests.launcher.worker.test_backend import STUB

RULES = Rules(lease=2.0, beat=0.5, pauses=(0.0,))
"""Short leases, so that a test sees a job taken over."""


def main() -> int:
    store = open_test_store(sys.argv[1])
    rules = replace(RULES, lease=float(sys.argv[2])) if len(sys.argv) > 2 else RULES
    backend = LocalBackend(2, server=STUB, rules=rules)
    backend.run(read_plan(store, "r1"), store, lambda rows, note: None, mode="resume")
    return 0


if __name__ == "__main__":
    sys.exit(main())
