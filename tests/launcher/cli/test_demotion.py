"""A run's end names or demotes the champions that its jobs have scored, as the command does it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from atb.contract import keys
from atb.registry.champions import read_champion, read_history, require_champion
from atb.registry.record import extend_record
from atb.storage import DirectoryStore
from launcher.cli import atb_launch
from tests.atb.registry.candidates import HOUR_MS, NOISE, NOW, commit
from tests.atb.registry.test_promote import MODEL_KEY, follow, promote
from tests.atb.registry.test_record import live_rows
from tests.launcher.records.test_promotion import record_of
from trainer.cli import atb


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A champion that has known nothing since its cut, as a night's run has found."""
    store = DirectoryStore(str(tmp_path))
    promote(store, commit(store, "r1"))
    return store


def end_night(store: DirectoryStore, run: str, demotion: str) -> Result:
    """A night whose job has scored the champion, collected by the command."""
    found = read_champion(store, MODEL_KEY)
    if found is not None:
        extend_record(store, found[0], run, HOUR_MS, live_rows(0, 720, False), {}, now=NOW)
    commit(store, run, metrics=NOISE, last=NOW + timedelta(days=1))
    store.put(keys.plan(run), record_of(store, run, "BTCUSDT").plan.to_bytes())
    return CliRunner().invoke(atb_launch, ["collect", run, "--store", store.url, "--demotion", demotion])


def test_a_champion_behind_its_bar_is_named_or_left_alone_unless_demotion_is_automatic(store: DirectoryStore) -> None:
    before = require_champion(store, MODEL_KEY)
    quiet, warned = end_night(store, "n1", "off"), end_night(store, "n2", "warn")
    assert (quiet.exit_code, warned.exit_code) == (0, 0)
    assert "behind its bar" not in quiet.output
    assert "r1 is behind its bar on the latest 720 live rows" in warned.output
    assert "--demotion auto would demote it" in warned.output
    assert require_champion(store, MODEL_KEY) == before


def test_auto_demotes_to_none_and_the_next_good_model_serves(store: DirectoryStore) -> None:
    ended = end_night(store, "n1", "auto")
    assert ended.exit_code == 0, ended.output
    assert "none serves now" in ended.output
    assert read_champion(store, MODEL_KEY) is None
    output = CliRunner().invoke(atb, ["models", "history", "BTCUSDT", "--store", store.url]).output
    assert "demote" in output
    assert "behind its bar on the latest 720 live rows: e-value" in output
    assert "no champions" in CliRunner().invoke(atb, ["models", "list", "--store", store.url]).output
    assert "behind its bar" not in end_night(store, "n2", "auto").output
    promote(store, commit(store, "n3"), 3_000)
    assert require_champion(store, MODEL_KEY).run == "n3"


def test_auto_demotes_to_the_predecessor_and_the_page_shows_that_it_serves(store: DirectoryStore) -> None:
    follow(store, "r2", 1)
    ended = end_night(store, "n1", "auto")
    assert "r2 is behind its bar" in ended.output
    assert "r1 serves now" in ended.output
    assert require_champion(store, MODEL_KEY).run == "r1"
    last = read_history(store, MODEL_KEY)[-1].entry
    assert (last.action, last.run, last.champion is not None and last.champion.run) == ("demote", "r2", "r1")
    found = json.loads(CliRunner().invoke(atb, ["models", "list", "--output", "json", "--store", store.url]).output)
    assert [(each["run"], each["record"]) for each in found] == [("r1", None)]  # its record begins anew
