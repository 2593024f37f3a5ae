"""A model that forecasts from a DataFrame of bars, through ONNX Runtime alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from atb.api.bars import from_frame
from atb.api.stores import find_store
from atb.documents.result import Result
from atb.errors import DataError
from atb.storage import Store

if TYPE_CHECKING:
    import pandas as pd

    from trainer.pipeline.loaded_model import LoadedModel


def load_model(
    model: str | Path,
    *,
    store: Store | str | None = None,
    timeframe: str | None = None,
    preset: str | None = None,
) -> Model:
    """The champion of a symbol, its files verified, or the model in a folder that ``atb models pull`` has filled.

    ``timeframe`` and ``preset`` choose where a symbol has several champions. Raises SpecError, StoreError.
    """
    folder = Path(model)
    if isinstance(model, Path) or folder.is_dir():
        from trainer.forecast import open_forecaster, read_directory
        from trainer.pipeline.loaded_model import LoadedModel

        opened = open_forecaster(read_directory(folder))
        return Model(folder.name, LoadedModel("", datetime.min.replace(tzinfo=UTC), opened))
    from atb.registry.champions import find_model_key, require_champion
    from trainer.pipeline.loaded_model import open_champion

    found = find_store(store)
    champion = require_champion(found, find_model_key(found, model, timeframe, preset))
    return Model(model, open_champion(found, champion))


def model_of(store: Store, result: Result) -> Model:
    """The model of a committed result."""
    from trainer.pipeline.loaded_model import open_result

    return Model(result.spec.symbol, open_result(store, result))


@dataclass(frozen=True)
class Model:
    """A model ready to be asked."""

    name: str
    loaded: LoadedModel

    @property
    def timeframe(self) -> str:
        """The length of the bars that it reads."""
        return self.loaded.model.timeframe

    @property
    def bars_needed(self) -> int:
        """How many bars without a gap one forecast takes."""
        return self.loaded.model.rows

    def predict(self, bars: pd.DataFrame) -> pd.DataFrame:
        """One row for each bar that has enough bars without a gap up to it, indexed by its opening time ``time``.

        ``bars`` are as ``load_bars`` gives them, or any DataFrame with times in its index or a column, and open, high,
        low, close and volume. Columns: ``last_close``; ``forecast``, of the close ``horizon`` bars later, in price;
        ``log_return`` between the two; ``target_time``, the opening time of the bar forecast. Raises DataError where
        no bar has enough before it.
        """
        import numpy as np
        import pandas as pd

        from trainer.pipeline.loaded_model import ask, has_bars

        model = self.loaded.model
        found = from_frame(bars, str(bars.attrs.get("symbol", self.name)), model.timeframe)
        if missing := [name for name in model.extra_columns if name not in found.extra]:
            raise DataError(f"the model reads the column {missing[0]}, which the bars don't have")
        ends = np.arange(len(found))
        ends = ends[has_bars(self.loaded, found, ends)]
        if not len(ends):
            raise DataError(
                f"the model reads {model.rows} bars without a gap, and none of the {len(found)} has them before it"
            )
        last, forecast = found.close[ends], ask(self.loaded, found, ends)
        opened = found.time[ends]
        return pd.DataFrame(
            {
                "last_close": last,
                "forecast": forecast,
                "log_return": np.log(forecast / last),
                "target_time": pd.to_datetime(opened + model.horizon * found.step_ms, unit="ms", utc=True),
            },
            index=pd.DatetimeIndex(pd.to_datetime(opened, unit="ms", utc=True), name="time"),
        )
