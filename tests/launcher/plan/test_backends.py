"""Which backend does a run, and that a third one is one module and an entry point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from atb.errors import SpecError
from launcher.cli import atb_launch
from launcher.kubernetes.backend import detect
from launcher.plan.backends import backend_names, choose_backend, find_backend
from tests.plugins import install

SLEEPY = '''
from launcher.worker.backend import LocalBackend


def detect(environment):
    return None


def open_backend(setup):
    return Sleepy()


class Sleepy(LocalBackend):
    """Does nothing, far away."""

    name = "sleepy"
    outlives_launcher = True

    def describe(self, jobs):
        return "in bed"

    def render(self, plan, store, *, server):
        return (f"kind: Dream\\nname: {job.job}\\n" for job in plan.to_run)

    def run(self, plan, store, show, *, mode, wait=True):
        return None

    def print_logs(self, plan, store, job, say, *, follow, tail):
        say(f"{job}: zzz")

    def explain(self, plan, store, planned):
        return [f"{planned.job}: asleep"]

    def clean(self, plan, *, force):
        return f"woke {plan.run}"
'''


@pytest.fixture
def sleepy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a backend, as pip leaves one."""
    entries = {"atb.backends/sleepy": "sleepy_backend", "atb.backends/broken": "no_such_module"}
    install(tmp_path / "site", monkeypatch, entries, {"sleepy_backend": SLEEPY})
    return tmp_path


def test_a_third_backend_is_one_module_and_every_command_works_with_it(sleepy: Path) -> None:
    store = ["--store", str(sleepy / "store")]

    def call(*words: str) -> str:
        result = CliRunner().invoke(atb_launch, [*words, *store])
        assert result.exit_code == 0, f"{result.output}{result.exception}"
        return result.output

    what = ("--symbols", "BTCUSDT", "--source", "sample", "--backend", "sleepy", "--run", "r1")
    assert "backend sleepy: as asked" in call(*what, "--dry-run")
    assert "kind: Dream\nname: BTCUSDT-balanced" in call(*what, "--dry-run")
    output = call(*what, "--no-wait")
    assert "1 to train in bed" in output
    assert "follow them with: atb-launch attach r1" in output
    assert "pending" in call("status", "r1")
    assert "BTCUSDT: zzz" in call("logs", "r1", "BTCUSDT")
    assert "BTCUSDT-balanced: asleep" in call("why", "r1", "BTCUSDT")
    assert json.loads(call("why", "r1", "BTCUSDT", "--output", "json"))["cluster"] == ["BTCUSDT-balanced: asleep"]
    assert "woke r1" in call("clean", "r1")
    assert json.loads(call("clean", "r1", "--output", "json")) == {"run": "r1", "outcome": "woke r1"}


def test_an_unavailable_backend_is_a_one_line_error(sleepy: Path) -> None:
    assert backend_names() == ("kubernetes", "local", "broken", "sleepy")
    with pytest.raises(SpecError, match="broken can't be loaded from no_such_module"):
        find_backend("broken")
    with pytest.raises(SpecError, match="backend 'slow' is unknown; choose one of auto, kubernetes, local"):
        find_backend("slow")


def test_without_a_configuration_it_is_this_machine(tmp_path: Path) -> None:
    assert choose_backend("auto", {"HOME": str(tmp_path)}) == ("local", "no cluster is configured")


def test_a_kubeconfig_at_home_is_a_cluster(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("kind: Config")
    assert choose_backend("auto", {"HOME": str(tmp_path)})[0] == "kubernetes"


def test_kubeconfig_may_name_several_files_and_one_must_be_there(tmp_path: Path) -> None:
    config = tmp_path / "config"
    environment = {"HOME": str(tmp_path), "KUBECONFIG": f"{tmp_path}/nothing:{config}"}
    with pytest.raises(SpecError, match="no such file is there; correct it, or add --backend local"):
        choose_backend("auto", environment)
    config.write_text("kind: Config")
    assert choose_backend("auto", environment) == ("kubernetes", f"KUBECONFIG names {config}")


def test_a_pod_is_a_cluster_only_with_an_account(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert detect(environment, tmp_path / "token") is None
    (tmp_path / "token").write_text("t")
    assert detect(environment, tmp_path / "token") == "this is a Pod with an account"


def test_the_requested_backend_is_used() -> None:
    assert choose_backend("local", {"KUBECONFIG": "/nowhere"})[0] == "local"
