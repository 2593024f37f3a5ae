"""What a user can choose about a launch, beside its trainings and its cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from atb.contract.presets import DEFAULT_PRESET

Output = Literal["table", "json"]
Promote = Literal["auto", "manual"]


class LaunchOptions(BaseModel):
    """One launch: what to train, where to keep it, who does it and what happens at its end."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    symbols: str | None = None
    presets: str = DEFAULT_PRESET
    store: str | None = None
    endpoint_url: str | None = None
    backend: str = "auto"
    run: str | None = None
    schedule: str | None = None
    resume: str | None = None
    force: bool = False
    max_parallel: Annotated[int, Field(ge=1)] | None = None
    promote: Promote = "manual"
    accept_first: bool = False
    dry_run: Literal["client", "server"] | None = None
    output: Output = "table"
    wait: bool = True
    yes: bool = False
