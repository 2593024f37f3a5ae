"""A model that forecasts from a DataFrame of bars, through ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.api.bars import from_frame
from atb.api.stores import StoreLike, find_store
from atb.contract import bundle
from atb.contract.sources import plain_symbol
from atb.documents.record import RecordEntry
from atb.documents.result import Result
from atb.errors import DataError
from atb.storage import Store

if TYPE_CHECKING:
    import pandas as pd

    from trainer.pipeline.loaded_model import LoadedModel


_PATH_STARTS = ("/", "./", "../", "~")
"""No symbol begins with these."""


def load_model(
    model: str | Path,
    *,
    store: StoreLike | None = None,
    timeframe: str | None = None,
    preset: str | None = None,
    target: str | None = None,
    horizon: int | None = None,
    market: str | None = None,
) -> Model:
    """The champion of a symbol, its files verified, or the model in a folder that ``atb models pull`` has filled.

    ``timeframe``, ``preset``, ``target``, ``horizon`` and ``market`` choose where a symbol has several champions.
    Raises SpecError, StoreError.
    """
    folder = Path(model)
    if isinstance(model, Path) or folder.is_dir() or model.startswith(_PATH_STARTS):
        from trainer.forecast import open_forecaster, read_directory
        from trainer.pipeline.loaded_model import LoadedModel

        opened = open_forecaster(read_directory(folder))
        return Model(folder.name, LoadedModel("", datetime.min.replace(tzinfo=UTC), opened))
    from atb.registry.champions import find_model_key, require_champion
    from atb.registry.record import read_record
    from trainer.pipeline.loaded_model import open_champion

    found = find_store(store)
    champion = require_champion(found, find_model_key(found, model, timeframe, preset, target, horizon, market))
    return Model(model, open_champion(found, champion), read_record(found, champion))


def model_of(store: Store, result: Result) -> Model:
    """The model of a committed result."""
    from trainer.pipeline.loaded_model import open_result

    return Model(result.spec.symbol, open_result(store, result))


@dataclass(frozen=True)
class Model:
    """A model ready to forecast. ``record``: how a champion has done on bars that closed after its cut, if a run has
    scored it since."""

    name: str
    loaded: LoadedModel
    record: RecordEntry | None = None

    @property
    def unseen_from(self) -> datetime:
        """From where on bars had no part in its training; the earliest time there is for a folder that doesn't say."""
        return self.loaded.unseen_from

    @property
    def timeframe(self) -> str:
        """The length of the bars that it reads."""
        return self.loaded.model.timeframe

    @property
    def bars_needed(self) -> int:
        """How many consecutive bars one forecast takes."""
        return self.loaded.model.rows

    def predict(self, bars: pd.DataFrame) -> pd.DataFrame:
        """One row for each bar that has enough bars without a gap up to it, indexed by its opening time ``time``.

        ``bars`` are as ``load_bars`` gives them, or any DataFrame with times in its index or a column, and open, high,
        low, close and volume; a last bar that is still open is left out. Columns: ``target_time``, the opening time of
        the bar ``horizon`` bars later; ``last_close``; ``forecast`` of its close, in price, and ``log_return`` between
        the two, or ``volatility``, per bar, of the bars up to it; and ``lower_P`` and ``upper_P``, the band of level P
        for its close. Raises DataError where no bar has enough before it, and for bars of another symbol or timeframe.
        """
        import numpy as np
        import pandas as pd

        from trainer.pipeline.loaded_model import ask_all, has_bars

        model, held = self.loaded.model, getattr(bars, "attrs", {}).get("symbol", self.name)
        if self.loaded.run and plain_symbol(str(held)) != plain_symbol(self.name):
            raise DataError(f"the model is of {self.name}, but was given bars of {held}")
        found = from_frame(bars, str(held), model.timeframe)
        if missing := [name for name in model.extra_columns if name not in found.extra]:
            raise DataError(f"the model reads the column {missing[0]}, which the bars don't have")
        ends = np.arange(len(found))
        ends = ends[has_bars(self.loaded, found, ends)]
        if not len(ends):
            raise DataError(
                f"the model reads {model.rows} bars without a gap, and none of the {len(found)} has them before it"
            )
        opened, last = found.time[ends], found.close[ends]
        target_time = pd.to_datetime(opened + model.horizon * found.step_ms, unit="ms", utc=True)
        index = pd.DatetimeIndex(pd.to_datetime(opened, unit="ms", utc=True), name="time")
        columns = {"target_time": target_time, "last_close": last}
        return pd.DataFrame({**columns, **dict(self._forecasts(ask_all(self.loaded, found, ends), last))}, index=index)

    def _forecasts(self, answers: dict[str, Any], last: Any) -> Iterator[tuple[str, Any]]:
        import numpy as np

        if bundle.VOLATILITY in answers:
            yield "volatility", answers[bundle.VOLATILITY][:, 0].astype(np.float64)
        else:
            log_return = answers[bundle.RETURN][:, 0].astype(np.float64)
            yield "forecast", last * np.exp(log_return)
            yield "log_return", log_return
        for number, level in enumerate(self.loaded.model.levels):
            yield f"lower_{level:g}", answers[bundle.LOWER][:, number]
            yield f"upper_{level:g}", answers[bundle.UPPER][:, number]
