"""Options beside a spec's own fields that both commands share, or that say how one training is done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from atb.contract.runs import DEFAULT_FDR
from atb.contract.spec import Market, Target
from atb.schema import Option


class Options(BaseModel):
    """Frozen options; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SharedOptions(Options):
    """What both commands have."""

    store: Annotated[str, Field(description="A directory, or s3://bucket/prefix."), Option("Store", "URL")] = "./store"
    endpoint_url: Annotated[
        str | None, Field(description="The URL of an S3-compatible server. [default: AWS]"), Option("Store", "URL")
    ] = None
    run: Annotated[str | None, Field(description="The run's name. [default: from the time]"), Option("Run", "NAME")] = (
        None
    )
    profile: Annotated[
        str | None,
        Field(description="A profile of atb.toml, which beats the rest of the file."),
        Option("Run", "NAME"),
    ] = None


class GateOptions(Options):
    """What a launch and ``atb models promote`` ask of a model before it serves."""

    accept_first: Annotated[
        bool,
        Field(description="Let a first model serve before it has shown skill."),
        Option("Run", flag="--accept-first"),
    ] = False
    fdr: Annotated[
        float,
        Field(gt=0, lt=1, description="False-discovery rate: the accepted share of promoted models that know nothing."),
        Option("Run", "SHARE"),
    ] = DEFAULT_FDR


class ModelChoice(Options):
    """Selects one of a symbol's models where it has several."""

    timeframe: Annotated[
        str | None, Field(description="Choose the timeframe if a symbol has several."), Option("Model", "LENGTH")
    ] = None
    preset: Annotated[
        str | None, Field(description="Choose the preset if a symbol has several."), Option("Model", "NAME")
    ] = None
    target: Annotated[
        Target | None, Field(description="Choose the target if a symbol has several."), Option("Model")
    ] = None
    horizon: Annotated[
        int | None, Field(ge=1, description="Choose the horizon if a symbol has several."), Option("Model", "BARS")
    ] = None
    market: Annotated[
        Literal[Market, "sample"] | None,
        Field(description="Choose the market if a symbol has several; sample: made-up bars."),
        Option("Model"),
    ] = None


class TrainingOptions(Options):
    """What ``resolve_spec`` takes beside a spec's own fields."""

    days: Annotated[float | None, Field(gt=0, le=36_500), Option("Bars", "DAYS")] = Field(
        None, description="How many days of bars before the cut. [default: the preset's]"
    )
    end: Annotated[str | None, Option("Bars", "DATE")] = Field(None, description="The same as --as-of.")
    set: Annotated[
        tuple[str, ...], Field(description="Any option of a training, as NAME=VALUE."), Option("Net", "NAME=VALUE")
    ] = ()


class ExecutionOptions(Options):
    """How this machine does one training; none of it changes the model's identity."""

    accelerator: Annotated[
        Literal["auto", "gpu", "cpu"],
        Field(description="gpu: exit 21 if there are fewer than --gpus. auto: as many as there are, or the CPU."),
        Option("Execution"),
    ] = "auto"
    gpus: Annotated[int, Field(ge=1, description="GPUs to train on."), Option("Execution", "N")] = 1
    threads: Annotated[
        int,
        Field(ge=0, description="CPU threads beside a GPU; 0 uses all cores. A fit on the CPU uses one."),
        Option("Execution", "N"),
    ] = 0
    log_format: Annotated[
        Literal["text", "json"], Field(description="json: one event per line."), Option("Execution")
    ] = "text"
