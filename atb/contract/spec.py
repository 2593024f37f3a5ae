"""The spec: everything that decides one training, resolved from flags, preset and defaults."""

from __future__ import annotations

import difflib
import functools
import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from atb.contract import timeframe as tf
from atb.contract.features import canonical_features, check_features, split_features
from atb.contract.presets import DEFAULT_PRESET, MODEL_TYPES, PRESET_NAMES, PRESETS, ModelType, PresetName
from atb.contract.sources import canonical_symbol, check_source, normal_symbol, split_source
from atb.contract.window import WINDOW_OPTIONS, resolve_window
from atb.errors import SpecError
from atb.plugins import validate_name
from atb.schema import Document, Frequent, Option, canonical_json, first_problem

Market = Literal["spot", "um", "cm"]
OnGap = Literal["segment", "fill", "fail"]
Target = Literal["return", "volatility"]
Residual = Literal["none", "har"]
TARGETS: tuple[Target, ...] = get_args(Target)

_PINNED = re.compile(r"[^@]+@[0-9a-f]{64}")
AUGMENTATIONS = ("jitter", "scale")
FINE_TUNING = 0.1
"""What a warm start multiplies the preset's learning rate by."""
_BARS, _NET, _FIT, _OUTCOME = (functools.partial(Option, heading) for heading in ("Bars", "Net", "Fit", "Outcome"))
_MOST_BANDS = 9
_MOST_BARS = 20_000_000  # minute bars of 38 years
_ADDED = ("net", "target", "residual", "bands")
"""Fields that specs of earlier versions don't have: their defaults are left out of the digest, which stays the same."""


class Spec(Frequent, Document):
    """One training. The same spec, bars and code give the same model.

    Times are UTC and on the timeframe's grid. Rows are taken from ``[start, as_of)``; no bar that closes after
    ``as_of`` is read. ``learning_rate`` is Adam's; ``horizon`` counts bars from the window's last close.
    ``augment`` names what is done to train windows: ``jitter``, ``scale`` or both. ``warm_start`` is the net to start
    from, as ``KEY@SHA256``: never "the champion", which may move. ``folds`` are trained beside the model to see how
    its numbers spread over time. Costs of the backtest are basis points of each trade; ``threshold_bps`` is what a
    forecast must exceed to be traded, the cost of one trade where it is None.
    ``net`` names a net of the user's own, which replaces that of ``model_type``.
    ``target`` is the log-return to the close ``horizon`` bars on, or the log of the volatility over those bars. A net
    of volatility learns all of it, or what HAR leaves over where ``residual`` is ``har``. ``bands`` are the levels of
    price bands that every model has.
    """

    kind: ClassVar[str] = "spec"
    sealed: ClassVar[bool] = False
    """A part of other documents and of command lines."""

    symbol: Annotated[str, Field(description="The symbol, as its source names it, like BTCUSDT.")]
    source: Annotated[
        str, Field(description="Where bars come from: binance, ccxt:EXCHANGE, files:PATH or sample."), _BARS("NAME")
    ] = "binance"
    market: Annotated[Market, Field(description="Spot, or perpetuals in USDT (um) or coins (cm)."), _BARS()] = "spot"
    timeframe: Annotated[str, Field(description="A bar's length, like 15m, 1h, 4h or 1d."), _BARS("LENGTH")] = "1h"
    start: Annotated[
        datetime, Field(description="Where the bars start, instead of --days. [default: by --days]"), _BARS("DATE")
    ]
    as_of: Annotated[datetime, Field(description="No bar that closes later is read. [default: now]"), _BARS("DATE")]
    preset: Annotated[
        PresetName, Field(description=f"One of the presets: {', '.join(PRESET_NAMES)}."), _NET("NAME")
    ] = DEFAULT_PRESET
    model_type: Annotated[ModelType, Field(description="Use another net with the preset's numbers."), _NET()]
    epochs: Annotated[int, Field(ge=1, le=100_000, description="Passes over the training windows, at most."), _FIT("N")]
    batch_size: Annotated[int, Field(ge=1, le=65_536, description="Windows in a training step."), _FIT("N")]
    sequence_length: Annotated[int, Field(ge=16, le=4_096, description="Bars in a window."), _NET("BARS")]
    patience: Annotated[
        int, Field(ge=1, description="Epochs without a better validation loss before the fit stops."), _FIT("N")
    ]
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Adam's learning rate."), _FIT("X")]
    features: Annotated[
        str,
        Field(
            description="classic, relative, volatility or a plug-in's, and columns of the file: classic,+funding_rate. "
            "[default: volatility with --target volatility, else classic]"
        ),
        _NET("SET"),
    ] = "classic"
    horizon: Annotated[int, Field(ge=1, le=1_000, description="How many bars ahead."), _NET("BARS")] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Seed of all random numbers."), _FIT("N")] = 42
    on_gap: Annotated[OnGap, Field(description="Missing bars: train around them, fill them, or fail."), _BARS()] = (
        "segment"
    )
    mixed_precision: Annotated[bool, Field(description="Compute in float16 where it is safe; for GPUs."), _FIT()] = (
        False
    )
    onnx: Annotated[
        bool,
        Field(description="Export to ONNX. A model without it is never promoted."),
        Option("Outcome", flag="--onnx/--skip-onnx"),
    ] = True
    augment: Annotated[
        str, Field(description="Change training windows at random: jitter, scale or jitter,scale."), _FIT("NAMES")
    ] = ""
    warm_start: Annotated[
        str, Field(description="Continue from a model: champion, a run's name, or KEY@SHA256."), _FIT("MODEL")
    ] = ""
    folds: Annotated[
        int, Field(ge=0, le=20, description="How many walk-forward models to train as well."), _OUTCOME("N")
    ] = 0
    fee_bps: Annotated[
        float, Field(ge=0, le=1_000, description="The backtest's fee for a trade, in basis points."), _OUTCOME("BPS")
    ] = 10.0
    slippage_bps: Annotated[
        float, Field(ge=0, le=1_000, description="The backtest's slippage, in basis points."), _OUTCOME("BPS")
    ] = 2.0
    threshold_bps: Annotated[
        float | None,
        Field(ge=0, le=10_000, description="How large a forecast must be to be traded. [default: one trade's cost]"),
        _OUTCOME("BPS"),
    ] = None
    short: Annotated[bool, Field(description="The backtest may also sell short."), _OUTCOME()] = False
    net: Annotated[
        str,
        Field(description="Your own Keras net: an entry point of atb.nets, or package.module:function."),
        _NET("NAME"),
    ] = ""
    target: Annotated[Target, Field(description="What is forecast: the return, or the volatility."), _NET()] = "return"
    residual: Annotated[
        Residual,
        Field(description="What a volatility net learns: HAR's residual, or the whole target. [default: by --target]"),
        _NET(),
    ] = "none"
    bands: Annotated[
        str, Field(description="Levels of the price bands. [default: 0.5,0.8,0.95]"), _OUTCOME("LEVELS")
    ] = "0.5,0.8,0.95"

    @field_validator("symbol")
    @classmethod
    def _symbol_is_plain(cls, symbol: str) -> str:
        return normal_symbol(symbol)

    @field_validator("timeframe")
    @classmethod
    def _timeframe_is_a_length(cls, text: str) -> str:
        tf.to_ms(text)
        return text

    @field_validator("start", "as_of")
    @classmethod
    def _instant_is_within_reach(cls, instant: datetime, info: ValidationInfo) -> datetime:
        return tf.as_utc(instant, str(info.field_name))

    @field_validator("source")
    @classmethod
    def _source_is_known(cls, text: str) -> str:
        split_source(text)
        return text

    @field_validator("features")
    @classmethod
    def _features_are_known(cls, text: str) -> str:
        return canonical_features(text)

    @field_validator("augment")
    @classmethod
    def _augmentations_are_known(cls, text: str) -> str:
        names = sorted({name.strip() for name in text.split(",")} - {""})
        if unknown := set(names) - set(AUGMENTATIONS):
            raise ValueError(f"{min(unknown)!r} is unknown; write one or more of {', '.join(AUGMENTATIONS)}")
        return ",".join(names)

    @field_validator("warm_start")
    @classmethod
    def _warm_start_is_pinned(cls, text: str) -> str:
        if text and not _PINNED.fullmatch(text):
            raise ValueError(f"{text!r} does not name one file; write KEY@SHA256, or --warm-start champion, or a run")
        return text

    @field_validator("net")
    @classmethod
    def _net_is_a_name(cls, text: str, info: ValidationInfo) -> str:
        if text and info.data.get("mixed_precision"):
            raise ValueError("your own net sets the precision of its layers itself; leave out --mixed-precision")
        return validate_name(text) if text else text

    @field_validator("residual")
    @classmethod
    def _residual_has_its_inputs(cls, residual: Residual, info: ValidationInfo) -> Residual:
        if residual == "har" and info.data.get("target") == "return":
            raise ValueError("HAR forecasts volatility; with har write --target volatility")
        if residual == "har" and "features" in info.data and split_features(info.data["features"])[0] != "volatility":
            raise ValueError("HAR reads the features volatility; write --features volatility, or --residual none")
        return residual

    @field_validator("bands")
    @classmethod
    def _bands_are_levels(cls, text: str) -> str:
        return ",".join(f"{level:g}" for level in band_levels(text))

    @property
    def digest(self) -> str:
        """sha256 of the resolved fields: what makes two specs the same."""
        fields = self.model_dump(mode="json", exclude={"schema_version"})
        for name in _ADDED:
            if fields[name] == type(self).model_fields[name].default:
                del fields[name]
        return hashlib.sha256(canonical_json(fields)).hexdigest()

    @property
    def expected_bars(self) -> int:
        """How many bars the window holds when none is missing."""
        return (tf.epoch_ms(self.as_of) - tf.epoch_ms(self.start)) // tf.to_ms(self.timeframe)


def band_levels(text: str) -> tuple[float, ...]:
    """The levels in ``0.5,0.8,0.95``, the narrowest band first. Raises ValueError for anything else."""
    try:
        levels = sorted({float(part) for part in text.split(",")})
    except ValueError:
        levels = []
    if not 0 < len(levels) <= _MOST_BANDS or not all(0.01 <= level <= 0.999 for level in levels):
        raise ValueError(f"{text!r} are not 1 to {_MOST_BANDS} levels between 0.01 and 0.999, like 0.5,0.8,0.95")
    return tuple(levels)


OPTION_NAMES: tuple[str, ...] = tuple(
    sorted((set(Spec.model_fields) - {"schema_version", "symbol", "preset"}) | set(WINDOW_OPTIONS))
)
"""What ``--set NAME=VALUE`` and the flags of ``atb train model`` can override."""


def resolve_spec(symbol: str, preset: str, options: Mapping[str, Any], *, now: datetime | None = None) -> Spec:
    """Resolve one spec: an explicit option beats the preset, the preset beats the default.

    ``options`` holds names from OPTION_NAMES; values may be text. ``as_of`` is floored to the grid and defaults
    to now; ``start`` defaults to the preset's (or the given) days before it. Raises SpecError.
    """
    if preset not in PRESETS:
        raise SpecError(f"preset {preset!r} is unknown; choose one of {', '.join(PRESET_NAMES)}")
    for name in options:
        if name not in OPTION_NAMES:
            raise SpecError(f"option {name!r} is unknown{suggest(name)}")
    chosen = PRESETS[preset]
    fields: dict[str, Any] = {
        **_of_target(options),
        "symbol": symbol,
        "preset": preset,
        "model_type": chosen.model_type,
        "epochs": chosen.epochs,
        "batch_size": chosen.batch_size,
        "sequence_length": chosen.sequence_length,
        "patience": chosen.patience,
        "learning_rate": chosen.learning_rate * (FINE_TUNING if options.get("warm_start") else 1),
        **{name: value for name, value in options.items() if name not in WINDOW_OPTIONS},
    }
    if fields["model_type"] not in MODEL_TYPES:
        raise SpecError(f"model type {fields['model_type']!r} is unknown; choose one of {', '.join(MODEL_TYPES)}")
    start, as_of = resolve_window(str(fields.get("timeframe", "1h")), chosen.days, options, now or datetime.now(UTC))
    try:
        spec = Spec(**fields, start=start, as_of=as_of)
    except ValidationError as error:
        raise SpecError(f"{str(symbol)[:80]!a} {preset}: {first_problem(error)}") from None
    check_source(spec.source)
    check_features(spec.features)
    spec = spec.model_copy(update={"symbol": canonical_symbol(spec.symbol, spec.source, spec.market)})
    if spec.expected_bars > _MOST_BARS:
        raise SpecError(f"a window of {spec.expected_bars:,} bars is more than {_MOST_BARS:,}; lower --days")
    return spec


def _of_target(options: Mapping[str, Any]) -> dict[str, str]:
    """The default features and residual where the target is volatility."""
    if options.get("target") != "volatility":
        return {}
    features = str(options.get("features", "volatility"))
    return {"features": features, "residual": "har" if split_features(features)[0] == "volatility" else "none"}


def suggest(name: str) -> str:
    """The end of a sentence about an unknown option: the nearest one, or all."""
    near = difflib.get_close_matches(name, OPTION_NAMES, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(OPTION_NAMES)}"


def bars_words(spec: Spec) -> list[str]:
    """The symbol and the options that name exactly the bars of a spec."""
    words = [spec.symbol, "--source", spec.source]
    for name in ("market", "timeframe"):
        if getattr(spec, name) != Spec.model_fields[name].default:
            words += [f"--{name}", getattr(spec, name)]
    words += ["--preset", spec.preset]
    return [*words, "--start", f"{spec.start:%Y-%m-%dT%H:%M}", "--as-of", f"{spec.as_of:%Y-%m-%dT%H:%M}"]


def data_check(spec: Spec, where: Sequence[str] = ()) -> str:
    """The command that reports what is wrong with the bars of a spec; ``where`` are the options that name a store."""
    return shlex.join(["atb", "data", "check", *bars_words(spec), *where])
