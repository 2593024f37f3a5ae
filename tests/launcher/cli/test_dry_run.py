"""A dry run tells what a run would meet, and asks neither a cluster nor an exchange."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from launcher.cli import atb_launch

IMAGE = ("--backend", "kubernetes", "--image", "registry.example/atb:1")


@pytest.fixture
def dry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No way into a cluster, and no credentials."""
    for name in ("KUBECONFIG", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(atb_launch, ["--symbols", "BTCUSDT", "--preset", "fast", "--dry-run", *words])


def test_too_few_bars_are_reported_before_anything_is_started(dry: Path) -> None:
    done = call("--backend", "local", "--source", "binance", "--days", "3", "--store", str(dry / "s"))
    assert "would fail: 72 bars lie in the window and" in done.stdout
    assert "would train 1, 1 of which would fail" in done.stdout
    assert not (dry / "s" / "runs").exists()


def test_a_missing_source_is_reported(dry: Path) -> None:
    done = call("--backend", "local", "--source", f"files:{dry}/nowhere", "--store", str(dry / "s"))
    assert f"would fail: there is no directory {dry}/nowhere" in done.stdout


def test_a_cluster_s_objects_are_printed_without_a_kubeconfig_or_credentials(dry: Path) -> None:
    done = call(*IMAGE, "--source", "sample", "--store", "s3://no-such-bucket/books")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("---\n") or done.stdout.startswith("apiVersion")
    assert "kind: Job" in done.stdout
    assert "what is unchanged is not known: store s3://no-such-bucket/books" in done.stderr


def test_what_needs_the_cluster_says_so(dry: Path) -> None:
    done = call(*IMAGE, "--source", "sample", "--store", str(dry / "s"), "--workers", "auto")
    assert "no cluster can be reached" in str(done.exception)
