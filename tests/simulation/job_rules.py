"""What must hold of each Job that a launcher creates or removes: memory, spot nodes, and what is left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atb.contract import keys, labels
from atb.documents.attempt import MemoryNeed
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.objects.job_status import read_job
from tests.simulation.kernel import START, Process

if TYPE_CHECKING:
    from tests.simulation.night import Night


@dataclass(frozen=True)
class Try:
    """One Job of a job's chain: it and what follows share a deadline and the budgets."""

    ordinal: int
    memory: float
    oom: int
    on_demand: bool


class JobRules:
    """Sees every Job before it is created or removed."""

    def __init__(self, night: Night) -> None:
        self._night = night
        self._chains: dict[tuple[str, str], list[Try]] = {}

    def check_created(self, process: Process, body: dict[str, Any]) -> list[str]:
        """What is wrong with a new Job."""
        night, options = self._night, self._night.options
        notes, pod = body["metadata"]["annotations"], body["spec"]["template"]["spec"]
        limit = pod["containers"][0]["resources"]["limits"]["memory"]
        new = Try(
            int(notes[labels.TRY_ANNOTATION]),
            float(parse_quantity(limit)),
            int(notes[labels.OOM_ANNOTATION]),
            labels.ON_DEMAND_ANNOTATION in notes,
        )
        job, wrong = notes[labels.JOB_ANNOTATION], []
        least, most = (float(parse_quantity(each)) for each in (options.memory, options.max_memory))
        if not least <= new.memory <= most:
            wrong.append(f"{job} gets {limit}, not between {options.memory} and {options.max_memory}")
        chain = self._chains.setdefault((job, notes[labels.FIRST_ANNOTATION]), [])
        before = [each for each in chain if each.ordinal < new.ordinal]
        if before:
            last = max(before, key=lambda each: each.ordinal)
            more = new.oom - last.oom
            if more not in (0, 1) or (new.memory > last.memory) != (more == 1):
                wrong.append(f"{job} goes from {last} to {new}")
            if last.on_demand and not new.on_demand:
                wrong.append(f"{job} returns to spot nodes")
        elif night.resumed and new.memory < min(self._remembered(job), most):
            wrong.append(f"{job} begins anew with {limit}, and an earlier run came to need more")
        chain.append(new)
        wrong += [f"{job}: {each}" for each in self._check_nodes(pod, new.on_demand)]
        return wrong

    def _check_nodes(self, pod: dict[str, Any], on_demand: bool) -> list[str]:
        options = self._night.options
        name, _, value = (options.spot or "").partition("=")
        if on_demand and options.on_demand_after is None:
            return ["on demand, which nobody asked for"]
        wants = pod.get("nodeSelector", {}).get(name)
        if options.spot and (wants == value) == on_demand:
            return [f"asks for nodes with {name}={wants}, and is{'' if on_demand else ' not'} to run on demand"]
        return []

    def _remembered(self, job: str) -> float:
        spec = next(planned.spec for planned in self._night.plan.jobs if planned.job == job)
        key = keys.memory(spec.symbol, spec.timeframe, spec.preset)
        there = self._night.store.objects.get(key)
        return 0.0 if there is None else float(parse_quantity(MemoryNeed.from_bytes(there[0], key).memory))

    def check_removed(self, process: Process, name: str) -> list[str]:
        """What is wrong with removing a Job."""
        night = self._night
        if night.options.keep_jobs and process.name.startswith("launcher") and not night.invariants.was_cancelled:
            return [f"{process.name} removes Job {name}, which is to be kept"]
        return []

    def check_cleaned(self, process: Process, since: float) -> list[str]:
        """What is wrong with removing the run: what lives now, and did when the cleaning began, was seen."""
        if process.name != "cleaner":
            return []
        began = START + since + self._night.server.skew - 1.0
        jobs = [read_job(job) for job in self._night.server.objects["jobs"].values()]
        return [f"Job {job.name} is cleaned away while it lives" for job in jobs if job.live and job.created < began]
