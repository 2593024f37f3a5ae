"""The options of a launch, other than those of its trainings and its cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from atb.contract.options import GateOptions, SharedOptions
from atb.contract.presets import DEFAULT_PRESET
from atb.schema import Option

Output = Literal["table", "json"]
Promote = Literal["auto", "manual"]
Demotion = Literal["off", "warn", "auto"]


class LaunchOptions(SharedOptions, GateOptions):
    """One launch: what to train, where to keep it, who does it and what happens at its end."""

    presets: str = DEFAULT_PRESET
    """``--preset``, which the section of trainings has."""
    symbols: Annotated[
        str | None,
        Field(description="Symbols to train, separated by commas, or a file of names."),
        Option("Run", "A,B|@FILE"),
    ] = None
    backend: Annotated[
        str,
        Field(
            description="kubernetes, local or a plug-in's name. auto: kubernetes if there is a kubeconfig or a Pod's "
            "account, else local."
        ),
        Option("Run", "NAME"),
    ] = "auto"
    schedule: Annotated[
        str | None,
        Field(description="In a CronJob's Pod: name the run and set --as-of by its scheduled time."),
        Option("Run", "NAME"),
    ] = None
    resume: Annotated[
        str | None, Field(description="Run the failed and missing jobs of an earlier run."), Option("Run", "RUN")
    ] = None
    force: Annotated[bool, Field(description="Train unchanged jobs as well."), Option("Run", flag="--force")] = False
    max_parallel: Annotated[
        int | None,
        Field(ge=1, description="Jobs at a time. [default: all on a cluster; here one per core, 4 per GPU]"),
        Option("Run", "N"),
    ] = None
    wait: Annotated[
        bool, Field(description="Follow the run to its end, or exit once its Jobs are created."), Option("Run")
    ] = True
    yes: Annotated[
        bool, Field(description="Don't ask before a large run or one with warnings."), Option("Run", flag="--yes")
    ] = False
    dry_run: Annotated[
        Literal["client", "server"] | None,
        Field(
            description="Print what would run, and exit: for a cluster the objects as YAML, with =server as its API "
            "server would accept them."
        ),
        Option("Run", flag="--dry-run"),
    ] = None
    output: Annotated[Output, Field(description="How to print the outcome."), Option("Run")] = "table"
    promote: Annotated[Promote, Field(description="auto promotes each model that passes the gate."), Option("Run")] = (
        "manual"
    )
    push_gateway: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$",
            description="A Prometheus Pushgateway that gets the run's metrics once it is collected.",
        ),
        Option("Run", "URL"),
    ] = None
    demotion: Annotated[
        Demotion,
        Field(description="What to do with a champion whose live record is behind its bar: auto demotes it."),
        Option("Run"),
    ] = "warn"
