"""What the page does not show: bars from any DataFrame, jobs that failed, forecasts, and what is not there."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

import atb
from atb.api.bars import from_frame, to_frame
from atb.api.models import Model
from atb.contract import keys
from atb.documents.attempt import Verdict
from atb.documents.result import FileEntry
from atb.errors import DataError, NotFound, SpecError
from atb.storage import DirectoryStore
from tests.launcher.fixtures import commit, make_plan
from trainer.pipeline.loaded_model import LoadedModel


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return atb.load_bars("BTCUSDT", source="sample", days=10, as_of="2026-02-01", store="/tmp/never-written")


def test_bars_come_back_from_a_frame_as_they_were(frame: pd.DataFrame) -> None:
    assert frame.index.tz is not None  # type: ignore[attr-defined]
    again = to_frame(from_frame(frame, "BTCUSDT", "1h"))
    pd.testing.assert_frame_equal(again, frame, check_freq=False)
    for other in (
        frame.reset_index(),
        frame.rename_axis(None),
        frame.tz_localize(None),
        frame.reset_index().rename(columns={"time": "timestamp"}),
    ):
        assert from_frame(other, "BTCUSDT", "1h").digest == from_frame(frame, "BTCUSDT", "1h").digest


def test_a_frame_that_holds_no_bars_is_one_line(frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no column close"):
        from_frame(frame.drop(columns="close"), "BTCUSDT", "1h")
    with pytest.raises(DataError, match="reads 4h bars, but was given 1h bars"):
        from_frame(frame, "BTCUSDT", "4h")
    with pytest.raises(DataError, match="has no rows"):
        from_frame(frame.iloc[:0], "BTCUSDT", "1h")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda frame: pd.concat([frame, frame[["close"]]], axis=1), "can't be read: Duplicate column names"),
        (lambda frame: frame.assign(close=[1.0, "x"] * (len(frame) // 2)), "can't be read: Could not convert 'x'"),
        (lambda frame: frame.astype(complex), "can't be read: Unsupported numpy type"),
        (lambda frame: frame.astype(pd.SparseDtype(float)), "can't be read: Sparse pandas data"),
        (lambda frame: -frame, "240 of 240 rows hold a price of 0 or less"),
    ],
)
def test_a_frame_that_is_not_of_numbers_is_one_line(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], problem: str, frame: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=problem) as caught:
        from_frame(spoil(frame), "BTCUSDT", "1h")
    assert str(caught.value).isprintable()


def test_a_frame_of_several_symbols_is_read_for_one_of_them(frame: pd.DataFrame) -> None:
    both = pd.concat({"ETHUSDT": frame * 2, "BTC/USDT": frame}, names=["symbol"])
    assert from_frame(both, "BTCUSDT", "1h").digest == from_frame(frame, "BTCUSDT", "1h").digest


def test_a_bar_that_is_still_open_forecasts_nothing(frame: pd.DataFrame) -> None:
    last = pd.Timestamp.now("UTC").ceil("h")
    real = frame.set_axis(pd.date_range(end=last, periods=len(frame), freq="h", unit="ms"))
    real.attrs.clear()
    assert from_frame(real, "BTCUSDT", "1h").time[-1] + 3_600_000 <= time.time() * 1000
    real.attrs["synthetic"] = True
    assert len(from_frame(real, "BTCUSDT", "1h")) == len(frame)


def test_a_model_forecasts_bars_of_its_own_symbol_only(frame: pd.DataFrame) -> None:
    model = Model("ETH-USDT", LoadedModel("r1", datetime(2026, 1, 1, tzinfo=UTC), cast(Any, None)))
    with pytest.raises(DataError, match="the model is of ETH-USDT, but was given bars of BTCUSDT"):
        model.predict(frame)


def test_rows_of_another_timeframe_or_of_two_markets_are_refused_and_never_picked_from(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    finer = frame.set_index(frame.index[0] + pd.to_timedelta(range(0, 5 * len(frame), 5), unit="min"))
    two = pd.concat([frame, frame * 2])
    for other, problem in ((finer, "the rows are 5m bars, not 1h"), (two, "repeat a time with other values")):
        plain = pd.DataFrame(other.rename_axis("time"))
        plain.attrs.clear()
        with pytest.raises(DataError, match=problem):
            from_frame(plain, "BTCUSDT", "1h")
        plain.to_csv(tmp_path / "BTCUSDT.csv")
        with pytest.raises(DataError, match=problem):
            atb.load_bars("BTCUSDT", source=f"files:{tmp_path}", days=10, as_of="2026-01-22T12:00", store=tmp_path)


def test_every_job_of_a_run_has_a_row(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    plan = make_plan("BTCUSDT", "ETHUSDT")
    store.put(keys.plan(plan.run), plan.to_bytes())
    commit(store, plan.run, plan.jobs[0])
    verdict = Verdict(job="ETHUSDT-fast", state="failed", category="oom", reason="out of memory", recorded=plan.created)
    store.put(keys.verdict(plan.run, plan.jobs[1].job), verdict.to_bytes())
    table = atb.open_run(plan.run, store).results()
    assert table["state"].tolist() == ["done", "failed"]
    assert table["symbol"].tolist() == ["BTCUSDT", "ETHUSDT"]
    assert table.loc["ETHUSDT-fast", "category"] == "oom"


def test_forecasts_are_those_of_the_test_rows(tmp_path: Path) -> None:
    store, plan = DirectoryStore(tmp_path), make_plan("BTCUSDT")
    commit(store, plan.run, plan.jobs[0])
    run = atb.open_run(plan.run, store)
    with pytest.raises(SpecError, match=r"has no forecasts\.parquet"):
        run.forecasts("BTCUSDT")
    kept = pd.DataFrame(
        {
            "split": ["validation", "test"],
            "time": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True),
            "forecast": [1.0, 2.0],
            "actual": [1.5, 2.5],
            "last_close": [1.1, 2.1],
            "baseline_linear": [0.0, 0.0],
        }
    )
    data = io.BytesIO()
    kept.to_parquet(data)
    result = run.result("BTCUSDT")
    digest = hashlib.sha256(data.getvalue()).hexdigest()
    entry = FileEntry(path="forecasts.parquet", key="x/forecasts.parquet", size=len(data.getvalue()), sha256=digest)
    store.put(entry.key, data.getvalue())
    changed = result.model_copy(update={"files": (entry,)})
    store.put(keys.result(plan.run, "BTCUSDT-fast"), changed.to_bytes())
    found = run.forecasts("BTCUSDT")
    assert list(found.columns) == ["time", "last_close", "forecast", "actual", "baseline_linear"]
    assert found["actual"].tolist() == [2.5]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": 1}, r"option 'epoch' is unknown; did you mean epochs\?"),
        ({"epochs": -1}, "epochs -1: should be greater than or equal to 1"),
        ({"symbol": None}, "symbol None: should be a valid string"),
        ({"net": print}, "net <built-in function print>: should be a valid string"),
        ({"days": [1]}, r"days '\[1\]' is not a number above 0"),
        ({"accelerator": "tpu"}, "--accelerator tpu: should be 'auto', 'gpu' or 'cpu'"),
        ({"store": 5}, "store must be a URL, a directory or what atb.open_store returns, not 5"),
        ({"run": "a b"}, "run 'a b' is not a name"),
    ],
)
def test_what_makes_no_sense_is_a_spec_error_before_anything_runs(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=words):
        atb.train(**{"symbol": "BTCUSDT", "source": "sample", "store": tmp_path, **options})


def test_bars_that_are_no_data_frame_are_refused() -> None:
    with pytest.raises(DataError, match="bars must be a pandas DataFrame, not a list"):
        from_frame([1, 2], "BTCUSDT", "1h")  # type: ignore[arg-type]


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no run r9"):
        atb.open_run("r9", str(tmp_path / "store"))
    with pytest.raises(SpecError, match="BTCUSDT has no champion"):
        atb.load_model("BTCUSDT", store=str(tmp_path / "store"))
    with pytest.raises(SpecError, match="is not a bundle"):
        atb.load_model(tmp_path)
    with pytest.raises(SpecError, match=r"/no/folder is not a bundle"):
        atb.load_model("/no/folder")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        atb.nothing  # noqa: B018
    with pytest.raises(NotFound):
        atb.open_store(str(tmp_path)).get("nothing")
