"""A kubeconfig as people have them: each that can't be used is one line, which says where and quotes no login."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from atb.clock import SystemClock
from atb.errors import AtbError, SpecError
from launcher.kubernetes.api.connect import open_cluster
from launcher.kubernetes.api.requests import ApiError
from tests.apiserver.http import ApiServer

PLUGIN = "client.authentication.k8s.io/v1"
LOGINS: tuple[dict[str, Any], ...] = (
    {"token": "hunter2"},
    {"tokenFile": "/dev/null"},
    {"username": "me", "password": "hunter2"},
    {"client-certificate-data": "aHVudGVyMg==", "client-key-data": "aHVudGVyMg=="},
    {"auth-provider": {"name": "oidc", "config": {"id-token": "hunter2", "client-id": "me"}}},
    {
        "exec": {
            "apiVersion": PLUGIN,
            "command": "/bin/false",
            "args": ["a"],
            "env": [{"name": "A", "value": "hunter2"}],
        }
    },
)
ODD: tuple[Any, ...] = (None, 1, True, "", "odd\n\x07é", [], {"odd": 1}, ["odd"], "https://me:odd@[::1")


def make(user: dict[str, Any], server: str = "http://127.0.0.1:9", namespace: str = "lab") -> dict[str, Any]:
    cluster = {"server": server, "insecure-skip-tls-verify": True}
    return {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "me", "namespace": namespace}}],
        "current-context": "x",
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in entries:
        yield (*path, key)
        yield from places(each, (*path, key))


def put(config: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = inner = copy.deepcopy(config)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


@pytest.mark.parametrize("user", LOGINS, ids=lambda user: next(iter(user)))
def test_whatever_stands_in_a_kubeconfig_is_one_line(tmp_path: Path, user: dict[str, Any], capfd: Any) -> None:
    path, whole = tmp_path / "config", make(user)
    whole["clusters"][0]["cluster"]["proxy-url"] = "http://127.0.0.1:9"
    for place in places(whole):
        for odd in ODD:
            path.write_text(json.dumps(put(whole, place, odd)))
            with pytest.raises(AtbError) as raised:
                open_cluster(str(path), retry_seconds=0).list("jobs", lambda job: None)
            assert isinstance(raised.value, SpecError | ApiError)
            assert "hunter2" not in str(raised.value)
            assert str(raised.value).isprintable()
    assert capfd.readouterr() == ("", "")


def test_no_way_into_a_cluster_is_one_line(tmp_path: Path) -> None:
    for path, context in (("absent", None), ("absent", "test"), ("x" * 5_000, None)):
        with pytest.raises(SpecError, match="--kubeconfig"):
            open_cluster(str(tmp_path / path), context)


@pytest.mark.parametrize("text", ["", "[]", "just text", "a: [b", "[" * 5000, "a: 2026-13-45", "\xff"])
def test_a_kubeconfig_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text, "latin-1")
    with pytest.raises(SpecError, match="--kubeconfig"):
        open_cluster(str(path))


@pytest.mark.parametrize(("provider", "remedy"), [("gcp", "gke-gcloud-auth-plugin"), ("azure", "kubelogin")])
def test_a_login_that_kubernetes_has_removed_is_named(tmp_path: Path, provider: str, remedy: str) -> None:
    path = tmp_path / "config"
    user = {"auth-provider": {"name": provider, "config": {"access-token": "hidden"}}}
    path.write_text(json.dumps(make(user)))
    with pytest.raises(
        SpecError, match=f"auth provider {provider}, which Kubernetes 1.26 removed; .*{remedy}"
    ) as raised:
        open_cluster(str(path))
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize("field", ["server", "proxy-url"])
def test_an_address_holds_no_password(tmp_path: Path, field: str) -> None:
    path, config = tmp_path / "config", make({"token": "a"})
    config["clusters"][0]["cluster"][field] = "https://me:hunter2@127.0.0.1:9"
    path.write_text(json.dumps(config))
    with pytest.raises(SpecError, match=rf"clusters\.0\.cluster\.{field}: it holds a user or a password") as raised:
        open_cluster(str(path))
    assert "hunter2" not in str(raised.value)


def test_a_plugin_that_fails_is_named_with_its_words(tmp_path: Path) -> None:
    path = tmp_path / "config"
    script = "import sys; sys.exit('The session has expired, token=hunter2 is AKIAIOSFODNN7EXAMPLE')"
    user = {"exec": {"apiVersion": PLUGIN, "command": sys.executable, "args": ["-c", script]}}
    path.write_text(json.dumps(make(user)))
    with pytest.raises(SpecError, match=r"user me logs in by the command .*, which failed: .*has expired") as raised:
        open_cluster(str(path)).list("jobs", lambda job: None)
    assert "AKIA" not in str(raised.value)


class Leaping(SystemClock):
    """Each look is a minute after the one before."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.looks * 60.0


def test_a_plugin_that_fails_later_is_asked_again(server: ApiServer, tmp_path: Path) -> None:
    broken, path = tmp_path / "broken", tmp_path / "config"
    status = {"token": next(iter(server.tokens)), "expirationTimestamp": "2020-01-01T00:00:00Z"}
    answer = json.dumps({"apiVersion": PLUGIN, "kind": "ExecCredential", "status": status})
    script = f"import os, sys; sys.exit('no network') if os.path.exists({str(broken)!r}) else print({answer!r})"
    user = {"exec": {"apiVersion": PLUGIN, "command": sys.executable, "args": ["-c", script]}}
    path.write_text(json.dumps(make(user, server.url)))
    cluster = open_cluster(str(path), clock=Leaping(), retry_seconds=0)
    assert not cluster.list("jobs", lambda job: None)[0]
    broken.touch()
    with pytest.raises(ApiError, match="no network") as raised:
        cluster.list("jobs", lambda job: None)
    assert raised.value.transient
    broken.unlink()
    assert not cluster.list("jobs", lambda job: None)[0]


def test_a_token_file_may_end_with_a_newline(server: ApiServer, tmp_path: Path) -> None:
    path, token = tmp_path / "config", tmp_path / "token"
    token.write_text(f"{next(iter(server.tokens))}\n")
    path.write_text(json.dumps(make({"tokenFile": str(token)}, server.url)))
    assert not open_cluster(str(path)).list("jobs", lambda job: None)[0]


def test_the_first_of_several_files_decides_as_for_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make({"token": "a"}, namespace="one"), make({"token": "b"}, namespace="two")
    second["contexts"][0]["name"] = second["current-context"] = "y"
    for name, config in (("first", first), ("second", second)):
        (tmp_path / name).write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'absent'}:{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert open_cluster().namespace == "one"
    assert open_cluster(context="y").namespace == "two"
    with pytest.raises(SpecError, match="there is no context z"):
        open_cluster(context="z")
