from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from atb.contract import keys
from atb.errors import SpecError
from atb.registry.champions import require_champion
from atb.registry.record import extend_record
from atb.storage import DirectoryStore
from tests.atb.registry.candidates import HOUR_MS, NOISE, NOW, commit
from tests.atb.registry.test_promote import MODEL_KEY, follow, promote
from tests.atb.registry.test_record import live_rows
from trainer.cli import atb


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def run(store: DirectoryStore, *words: str) -> Result:
    result = CliRunner().invoke(atb, ["models", *words, "--store", store.url])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_list_shows_skill_beside_the_best_baseline_s(store: DirectoryStore) -> None:
    assert "no champions in" in run(store, "list").output
    promote(store, commit(store, "r1"))
    head, row = run(store, "list").output.splitlines()
    assert head.split()[:5] == ["symbol", "timeframe", "preset", "target", "skill"]
    assert row.split()[:8] == ["BTCUSDT", "1h", "fast", "return", "1", "+0.2000", "+0.0000", "persistence"]
    assert json.loads(run(store, "list", "--output", "json").output)[0]["run"] == "r1"


def test_show_prints_the_card_of_a_champion_or_a_job(store: DirectoryStore) -> None:
    promote(store, commit(store, "r1"))
    commit(store, "r2")
    assert run(store, "show", "BTCUSDT").output == "# r1\n"
    assert run(store, "show", "r2/BTCUSDT-fast").output == "# r2\n"
    with pytest.raises(SpecError, match="neither a committed RUN/JOB nor a champion"):
        run(store, "show", "r9/BTCUSDT-fast")


def test_a_symbol_with_a_slash_in_it_is_a_symbol(store: DirectoryStore) -> None:
    promote(store, commit(store, "r1", "BTC/USDT:USDT-260327"))
    assert run(store, "show", "BTC/USDT:USDT-260327").output == "# r1\n"


def test_promote_says_every_rule_and_exits_0_or_1(store: DirectoryStore) -> None:
    commit(store, "r0", metrics=NOISE)
    declined = run(store, "promote", "r0", "BTCUSDT")
    assert declined.exit_code == 1
    assert "FAILED  skill-shown 0.1851 (bound 20)" in declined.output
    assert "passed  parity" in declined.output
    commit(store, "r1", last=NOW + timedelta(days=10))
    done = run(store, "promote", "r1", "BTCUSDT", "--why", "first of its kind")
    assert done.exit_code == 0
    assert "BTCUSDT 1h fast is served by r1 now" in done.output
    lines = run(store, "history", "BTCUSDT").output.splitlines()
    assert lines[1].split()[2:5] == ["decline", "r0", "declined"]
    assert lines[2].endswith("first of its kind")


def test_history_is_there_for_a_symbol_that_was_only_declined(store: DirectoryStore) -> None:
    commit(store, "r0", metrics=NOISE)
    run(store, "promote", "r0", "BTCUSDT")
    found = json.loads(run(store, "history", "BTCUSDT", "--output", "json").output)
    assert [entry["effect"] for entry in found] == ["declined"]


def test_promote_needs_a_preset_where_the_run_has_several(store: DirectoryStore) -> None:
    commit(store, "r1", preset="quality")
    commit(store, "r1", preset="fast")
    with pytest.raises(SpecError, match="for fast, quality; add --preset"):
        run(store, "promote", "r1", "BTCUSDT")
    assert run(store, "promote", "r1", "BTCUSDT", "--preset", "quality").exit_code == 0
    with pytest.raises(SpecError, match="run r1 has no result of ETHUSDT"):
        run(store, "promote", "r1", "ETHUSDT")


def test_rollback_and_pull_follow_the_pointer(store: DirectoryStore, tmp_path: Path) -> None:
    promote(store, commit(store, "r1"), 0)
    follow(store, "r2", 1)
    assert "is served by r1 again" in run(store, "rollback", "BTCUSDT").output
    assert require_champion(store, MODEL_KEY).run == "r1"
    assert "3 files of r1/BTCUSDT-fast" in run(store, "pull", "BTCUSDT", str(tmp_path / "model")).output
    assert (tmp_path / "model" / "card.md").read_text() == "# r1\n"


def test_show_pull_and_rollback_print_one_json_object_if_asked(store: DirectoryStore, tmp_path: Path) -> None:
    promote(store, commit(store, "r1"), 0)
    follow(store, "r2", 1)
    shown = json.loads(run(store, "show", "BTCUSDT", "--output", "json").output)
    assert (shown["run"], shown["card"].splitlines()[0], shown["record"]) == ("r2", "# r2", None)
    assert json.loads(run(store, "show", "r1/BTCUSDT-fast", "--output", "json").output)["attempt"] == 1
    pulled = json.loads(run(store, "pull", "BTCUSDT", str(tmp_path / "model"), "--output", "json").output)
    assert pulled["model"] == "r2/BTCUSDT-fast"
    assert all(Path(file).is_file() for file in pulled["files"])
    back = json.loads(run(store, "rollback", "BTCUSDT", "--output", "json").output)
    assert back == {"model": "BTCUSDT 1h fast", "run": "r1", "job": "BTCUSDT-fast", "action": "rollback"}


def test_evidence_prints_which_rows_were_spent_by_which_models_and_draws_it(
    store: DirectoryStore, tmp_path: Path
) -> None:
    promote(store, commit(store, "r1"))
    promote(store, commit(store, "r2", last=NOW + timedelta(days=1), champion=None), 1)
    lines = run(store, "evidence", "BTCUSDT", "--plot", str(tmp_path / "e.png")).output.splitlines()
    assert lines[1].split()[3:5] == ["r1/BTCUSDT-fast", "400"]
    assert lines[2].split()[3:5] == ["r2/BTCUSDT-fast", "24"]
    assert "of 2 trials" in lines[3]
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    for path in (tmp_path / "absent" / "e.png", tmp_path / ("e" * 300)):
        with pytest.raises(SpecError, match=r"can't be written: .*; name another file"):
            run(store, "evidence", "BTCUSDT", "--plot", str(path))
    found = json.loads(run(store, "evidence", "BTCUSDT", "--last", "1", "--output", "json").output)
    assert [(entry["number"], entry["candidates"]) for entry in found] == [(2, 2)]


def test_list_and_show_have_the_live_record_beside_the_promise(store: DirectoryStore) -> None:
    promote(store, commit(store, "r1"))
    assert run(store, "list").output.splitlines()[1].split()[8:12] == ["–", "–", "–", "–"]
    rows = [replace(row, inside={0.5: number % 2 == 0, 0.95: number > 1}) for number, row in
            enumerate(live_rows(0, 48, True))]  # fmt: skip
    extend_record(store, require_champion(store, MODEL_KEY), "r2", HOUR_MS, rows, {"close": 0.3})
    row = run(store, "list").output.splitlines()[1].split()
    record = json.loads(run(store, "list", "--output", "json").output)[0]["record"]
    assert row[8:13] == [f"{record['skill']:+.4f}", "95.8%", "of", "0.95", "48"]
    assert record["bands"][0] == {"level": 0.5, "rows": 48, "inside": 24}
    card = run(store, "show", "BTCUSDT").output
    assert card.startswith("# r1\n\n## Live record\n")
    assert "on 48 rows that closed after its cut" in card
    assert "0.95 band: 95.8% of 48 closes lay within" in card
    assert "`close`: population stability index 0.30" in card
    assert run(store, "show", "r1/BTCUSDT-fast").output == "# r1\n"


def test_a_card_is_shown_without_a_record_that_can_not_be_read(store: DirectoryStore) -> None:
    promote(store, commit(store, "r1"))
    store.put(keys.record_entry(MODEL_KEY.prefix, 1), b"{")
    shown = run(store, "show", "BTCUSDT").output
    assert "unreadable: models/BTCUSDT/1h/fast/record/00000001.json is not a record-entry document" in shown
    assert "# r1\n" in shown
