"""Logs of a run's jobs, one after another or followed side by side."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from atb.documents.plan import PlannedJob
from atb.errors import AtbError
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.logs import find_pods, follow_log, read_log, stored_log
from launcher.kubernetes.packed.look import print_packed_log
from launcher.kubernetes.why import job_selector
from launcher.plan.backend import Say


def print_logs(
    cluster: Cluster,
    store: Store,
    run: str,
    jobs: Sequence[PlannedJob],
    say: Say,
    *,
    packed: bool,
    named: bool,
    follow: bool,
    tail: int | None,
) -> None:
    """Print the latest attempt's log of each job. ``named``: each line has its job's name before it;
    ``packed``: they are done by workers."""

    def print_one(planned: PlannedJob) -> None:
        head = f"{planned.job}: " if named else ""

        def say_one(line: str) -> None:
            say(f"{head}{line}")

        if packed:
            print_packed_log(cluster, store, run, planned, say_one, follow=follow, tail=tail)
        else:
            _print_log(cluster, store, run, planned, say_one, follow, tail)

    if not follow:
        for planned in jobs:
            print_one(planned)
        return
    threads = [threading.Thread(target=print_one, args=(planned,), daemon=True) for planned in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _print_log(
    cluster: Cluster, store: Store, run: str, planned: PlannedJob, say: Say, follow: bool, tail: int | None
) -> None:
    try:
        pods = find_pods(cluster, job_selector(run, planned.job))
        if not pods:
            for line in stored_log(store, run, planned.job)[-(tail or 0) :]:
                say(line)
        elif follow:
            for line in follow_log(cluster, pods[-1].name, tail=tail):
                say(line)
        else:
            for line in read_log(cluster, pods[-1].name, tail=tail):
                say(line)
    except AtbError as error:
        say(f"no log: {error}")
