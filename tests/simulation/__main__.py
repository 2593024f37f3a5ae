"""``python -m tests.simulation --seeds 0-999``: many nights on all cores; ``--seeds 17 --log`` tells one of them."""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time

from tests.simulation.night import collect_rarely, live
from tests.simulation.planted import PLANTED, find
from tests.simulation.shift import live_one_shift
from tests.simulation.small import list_faults, try_fault


def main() -> int:
    """Live through the seeds, and print how to see each night again that breaks a promise."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", default="0-99", metavar="A-B", help="the nights, both ends included")
    parser.add_argument("--jobs", type=int, default=24, help="jobs of a night")
    parser.add_argument("--processes", type=int, default=2, help="nights at a time")
    parser.add_argument("--planted", action="store_true", help="look for the faults planted on purpose instead")
    parser.add_argument(
        "--small",
        type=int,
        metavar="EVERY",
        help="try the faults of the small worlds instead: 1 for all, 10 for a tenth",
    )
    parser.add_argument("--shifts", action="store_true", help="shifts of packed workers instead of nights")
    parser.add_argument("--log", action="store_true", help="print the history of each night")
    arguments = parser.parse_args()
    if arguments.planted:
        for fault in PLANTED:
            print(find(fault, arguments.jobs, 1000), flush=True)
        return 0
    if arguments.small:
        return try_small_worlds(arguments.small, arguments.processes)
    first, _, last = arguments.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    began, failed, steps, requests = time.monotonic(), 0, 0, 0
    processes = arguments.processes if len(seeds) > 1 else 1
    with multiprocessing.get_context("spawn").Pool(processes, collect_rarely) as pool:
        what, kind = (live_one_shift, "shifts") if arguments.shifts else (live, "nights")
        nights = pool.imap(what, ((seed, arguments.jobs, arguments.log) for seed in seeds), chunksize=8)
        for seed, (violations, history, counted) in zip(seeds, nights, strict=True):
            steps, requests = steps + counted[0], requests + counted[1]
            if arguments.log:
                print("\n".join(history))
            if violations:
                failed += 1
                print(f"seed {seed}: {violations[0]}")
                more = " --shifts" if arguments.shifts else ""
                print(f"  see it again: python -m tests.simulation{more} --jobs {arguments.jobs} --seeds {seed} --log")
        pool.close()
        pool.join()
    print(
        f"{len(seeds):,} {kind} of {arguments.jobs} jobs: {failed} with violations; {steps:,} steps and "
        f"{requests:,} requests in {say_time(began, processes)}"
    )
    return 1 if failed else 0


def try_small_worlds(every: int, processes: int) -> int:
    """Try their faults, and print those that break a promise."""
    began, faults = time.monotonic(), list(list_faults(every))
    with multiprocessing.get_context("spawn").Pool(processes, collect_rarely) as pool:
        violations = [line for found in pool.imap(try_fault, faults, chunksize=50) for line in found]
        pool.close()
        pool.join()
    print("\n".join(violations[:20]), end="\n" if violations else "")
    print(f"{len(faults):,} faults of small worlds: {len(violations)} violations in {say_time(began, processes)}")
    return 1 if violations else 0


def say_time(began: float, processes: int) -> str:
    """What it took, once the processes have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    return f"{time.monotonic() - began:.0f} s on {processes} processes, {cpu:.0f} s of CPU"


if __name__ == "__main__":
    sys.exit(main())
