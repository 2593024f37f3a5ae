"""Logs of a run's jobs, one after another or followed side by side."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from atb.documents.plan import PlannedJob
from atb.errors import AtbError
from atb.storage import Store
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.requests import ApiError
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

        try:
            if packed:
                print_packed_log(cluster, store, run, planned, say_one, follow=follow, tail=tail)
            else:
                _print_log(cluster, store, run, planned, say_one, follow, tail)
        except AtbError as error:
            if not named:
                raise
            say_one(f"no log: {error}")  # the others may have one

    if not (follow and named):
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
    pods = find_pods(cluster, job_selector(run, planned.job))
    printed = 0
    try:
        for pod in pods[-1:]:
            for line in (follow_log if follow else read_log)(cluster, pod.name, tail=tail):
                say(line)
                printed += 1
    except ApiError:
        stored = stored_log(store, run, planned.job) if pods[-1].exit_code is not None and not printed else []
        if not stored:
            raise  # else its node is gone, and the attempt left a tail in the store
    else:
        stored = [] if pods else stored_log(store, run, planned.job)
    for line in stored[-(tail or 0) :]:
        say(line)
