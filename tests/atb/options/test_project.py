"""atb.toml: flag beats environment beats file beats preset beats default; a mistake in it is one line with the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from atb.errors import SpecError
from atb.options.project import load_project
from launcher.cli import atb_launch
from trainer.cli import atb

FILE = """
store = "./kept"

[launch]
symbols = ["BTCUSDT", "ETHUSDT"]
max-parallel = 3

[train]
source = "sample"
epochs = 7
start = 2026-01-01
short = true

[cluster]
image = "registry.example/atb@sha256:0000"
node_selector = { pool = "gpu" }
tolerations = [{ key = "spot", operator = "Exists" }]

[data.check]
output = "json"

[profiles.trial.train]
epochs = 2
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "atb.toml").write_text(FILE)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return tmp_path


def specs(*words: str, **environment: str) -> list[dict[str, Any]]:
    arguments = [*words, "--backend", "local", "--dry-run", "--output", "json"]
    result: Result = CliRunner().invoke(atb_launch, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [job["spec"] for job in json.loads(result.stdout)["jobs"]]


def test_flag_beats_environment_beats_file_beats_preset_beats_default(project: Path) -> None:
    first, second = specs()
    assert (first["symbol"], second["symbol"]) == ("BTCUSDT", "ETHUSDT")
    assert (first["epochs"], first["batch_size"], first["seed"], first["short"]) == (7, 48, 42, True)
    assert specs(ATB_EPOCHS="8")[0]["epochs"] == 8
    assert specs("--epochs", "9", ATB_EPOCHS="8")[0]["epochs"] == 9
    assert specs("--set", "epochs=9", ATB_EPOCHS="8")[0]["epochs"] == 9
    assert specs("--set", "epochs=9", "--no-short")[0]["short"] is False
    assert specs("--preset", "fast")[0]["batch_size"] == 64


def test_a_profile_beats_the_rest_of_the_file(project: Path) -> None:
    assert specs("--profile", "trial")[0]["epochs"] == 2
    assert specs(ATB_PROFILE="trial")[0]["epochs"] == 2
    assert specs("--profile", "trial", "--epochs", "4")[0]["epochs"] == 4
    with pytest.raises(SpecError, match="there is no profile 'nothing'; it has trial"):
        specs("--profile", "nothing")


def test_a_stronger_window_leaves_the_weaker_one_out(project: Path) -> None:
    assert specs("--as-of", "2026-03-01")[0]["start"].startswith("2026-01-01")
    assert specs("--days", "10", "--as-of", "2026-03-01")[0]["start"].startswith("2026-02-19")
    with pytest.raises(SpecError, match="--start and --days both say where the window begins"):
        specs("--days", "10", "--start", "2026-01-05")


def test_what_the_file_says_of_a_cluster_is_no_reason_to_refuse_this_machine(project: Path) -> None:
    assert specs()
    with pytest.raises(SpecError, match="--image is for the kubernetes backend"):
        specs("--image", "x")


def test_config_says_what_holds_and_from_where(project: Path) -> None:
    result = CliRunner().invoke(atb, ["config", "--output", "json", "--profile", "trial"], env={"ATB_SEED": "5"})
    found = json.loads(result.stdout)
    path = str(project / "atb.toml")
    assert found["train.seed"] == {"value": "5", "from": "ATB_SEED"}
    assert found["train.epochs"] == {"value": "2", "from": f"{path}, profile trial"}
    assert found["store"] == {"value": "./kept", "from": path}
    assert "train.patience" not in found
    everything = json.loads(CliRunner().invoke(atb, ["config", "--output", "json", "--all"]).stdout)
    assert everything["train.patience"] == {"value": "15", "from": "preset balanced"}
    assert everything["train.horizon"] == {"value": "1", "from": "default"}


def test_a_command_of_its_own_has_its_part_of_the_file(project: Path) -> None:
    words = ["data", "check", "BTCUSDT", "--days", "60", "--as-of", "2026-03-01", "--preset", "fast"]
    assert CliRunner().invoke(atb, words).stdout.startswith("{")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nepoch = 5", r"atb.toml: train.epoch: this option is unknown; did you mean train.epochs\?"),
        ("[trian]\nepochs = 5", r"atb.toml: trian: this option is unknown; did you mean train"),
        ("[train]\nepochs = 'many'", r"atb.toml: train.epochs = 'many' is not a whole number"),
        ("[train]\nepochs = true", r"train.epochs = True is not a whole number"),
        ("[train]\nmarket = 'moon'", r"train.market = 'moon': choose one of spot, um, cm"),
        ("[launch]\nwait = 'no'", r"launch.wait = 'no' is not true or false"),
        ("store = ", r"atb.toml is not TOML: "),
        ("[profiles]\na = 1", r"profiles holds a table for each profile"),
        ("profile = 'a'", r"there is no profile 'a'; it has none"),
        ("[profiles.a.train]\nepoch = 1", r"profiles.a.train.epoch: this option is unknown"),
    ],
)
def test_a_mistake_is_one_line_with_its_key(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "atb.toml").write_text(text)
    with pytest.raises(SpecError, match=words) as found:
        load_project(None, tmp_path)
    assert "\n" not in str(found.value)


def test_a_command_may_have_the_name_of_an_option(tmp_path: Path) -> None:
    (tmp_path / "atb.toml").write_text("[store.check]\nquick = true\n")
    assert load_project(None, tmp_path).get("store.check", "quick") is True


def test_a_profile_without_a_file_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"there is no atb\.toml here or above"):
        load_project("trial", tmp_path)
