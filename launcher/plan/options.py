"""What a user can choose about a launch, beside its trainings and its cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from atb.contract.options import SharedOptions
from atb.contract.presets import DEFAULT_PRESET
from atb.contract.runs import DEFAULT_FDR
from atb.schema import Option

Output = Literal["table", "json"]
Promote = Literal["auto", "manual"]
Demotion = Literal["off", "warn", "auto"]


class LaunchOptions(SharedOptions):
    """One launch: what to train, where to keep it, who does it and what happens at its end."""

    presets: str = DEFAULT_PRESET
    """``--preset``, which the section of trainings has."""
    symbols: Annotated[
        str | None,
        Field(description="What to train, separated by commas, or a file of names."),
        Option("Run", "A,B|@FILE"),
    ] = None
    backend: Annotated[
        str,
        Field(
            description="kubernetes, local or a plug-in's. auto is kubernetes where a kubeconfig or a Pod's account "
            "is, else local."
        ),
        Option("Run", "NAME"),
    ] = "auto"
    schedule: Annotated[
        str | None,
        Field(description="In a CronJob's Pod: the run and its --as-of are those that were due."),
        Option("Run", "NAME"),
    ] = None
    resume: Annotated[
        str | None, Field(description="Run what failed or is missing of an earlier run."), Option("Run", "RUN")
    ] = None
    force: Annotated[bool, Field(description="Train again what is unchanged, too."), Option("Run", flag="--force")] = (
        False
    )
    max_parallel: Annotated[
        int | None,
        Field(ge=1, description="Jobs at a time. [default: all on a cluster; here one a core, 4 a GPU]"),
        Option("Run", "N"),
    ] = None
    wait: Annotated[
        bool, Field(description="Follow the run to its end, or leave when its Jobs are created."), Option("Run")
    ] = True
    yes: Annotated[
        bool, Field(description="Don't ask before a large run or one with doubts."), Option("Run", flag="--yes")
    ] = False
    dry_run: Annotated[
        Literal["client", "server"] | None,
        Field(
            description="Say what would run, and end: the objects as YAML for a cluster, with =server as its API "
            "server takes them."
        ),
        Option("Run", flag="--dry-run"),
    ] = None
    output: Annotated[Output, Field(description="How the outcome is printed."), Option("Run")] = "table"
    promote: Annotated[
        Promote, Field(description="auto lets each model that passes the gate serve."), Option("Run")
    ] = "manual"
    accept_first: Annotated[
        bool,
        Field(description="With --promote auto: first models need no skill shown."),
        Option("Run", flag="--accept-first"),
    ] = False
    fdr: Annotated[
        float,
        Field(gt=0, lt=1, description="False-discovery rate: how much noise among the promoted models is accepted."),
        Option("Run", "SHARE"),
    ] = DEFAULT_FDR
    demotion: Annotated[
        Demotion,
        Field(description="What is done with a champion whose live record is behind its bar: auto demotes it."),
        Option("Run"),
    ] = "warn"
