from __future__ import annotations

from pathlib import Path

import pytest

from atb.errors import SpecError
from launcher.plan.backend import choose_backend


def test_without_a_configuration_it_is_this_machine(tmp_path: Path) -> None:
    assert choose_backend("auto", {"HOME": str(tmp_path)}, tmp_path / "token") == ("local", "no cluster is configured")


def test_a_kubeconfig_at_home_is_a_cluster(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text("kind: Config")
    assert choose_backend("auto", {"HOME": str(tmp_path)}, tmp_path / "token")[0] == "kubernetes"


def test_kubeconfig_may_name_several_files_and_one_must_be_there(tmp_path: Path) -> None:
    config = tmp_path / "config"
    environment = {"HOME": str(tmp_path), "KUBECONFIG": f"{tmp_path}/nothing:{config}"}
    with pytest.raises(SpecError, match="no such file is there; correct it, or add --backend local"):
        choose_backend("auto", environment, tmp_path / "token")
    config.write_text("kind: Config")
    assert choose_backend("auto", environment, tmp_path / "token") == ("kubernetes", f"KUBECONFIG names {config}")


def test_a_pod_is_a_cluster_only_with_an_account(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert choose_backend("auto", environment, tmp_path / "token")[0] == "local"
    (tmp_path / "token").write_text("t")
    assert choose_backend("auto", environment, tmp_path / "token")[0] == "kubernetes"


def test_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    assert choose_backend("local", {"KUBECONFIG": "/nowhere"}, tmp_path)[0] == "local"
