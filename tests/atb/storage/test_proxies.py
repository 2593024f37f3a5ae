"""Proxies that can't be used: each client says so at once, and repeats no password."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from atb.errors import AtbError, StoreSetting
from atb.storage import open_store
from atb.storage.proxies import proxy_of, proxy_problem
from atb.storage.s3 import S3Store
from launcher.kubernetes.api.connect import open_cluster

BAD = [
    "http:me:hidden@proxy", "http:/me:hidden@proxy", "http://me:hidden@proxy:99999", "http://me:hidden@::1:9",
    "http://me:hidden@proxy:9 ", "http://me:hidden@proxy:x", "http://me:hid#den@proxy", "ftp://me:hidden@proxy", "http://",
    "//", " ", "http://me:hid\nden@proxy", "http://[::1",
]  # fmt: skip
SOCKS = "socks5h://me:hidden@127.0.0.1:9"


class Refusal(BaseHTTPRequestHandler):
    """A proxy that asks for a user, and repeats what it was sent."""

    def do_GET(self) -> None:
        self.send_response(407, "hidden")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hidden")

    do_CONNECT = do_GET  # noqa: N815  the name that http.server calls

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://me:hidden@127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "key")


def list_jobs(folder: Path, server: str) -> str:
    """What is said of an API server behind the variables' proxy."""
    config = {
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me"}}],
        "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "hidden"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    with pytest.raises(AtbError) as refused:
        open_cluster(str(file), retry_seconds=0).list("jobs", lambda job: None)
    return str(refused.value)


@pytest.mark.parametrize("proxy", BAD)
def test_what_is_no_address_is_named_without_its_password(proxy: str) -> None:
    problem = proxy_problem(proxy, socks=True)
    assert "the proxy" in problem
    assert not any(part in problem for part in ("hid", "me:"))


@pytest.mark.parametrize("proxy", ["http://me:hidden@::1:9", SOCKS])
def test_an_address_that_no_store_can_use_is_refused_at_once_without_its_password(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(StoreSetting, match="the proxy") as refused:
        open_store("s3://bucket/x", "http://s3.invalid")
    assert not any(part in str(refused.value) for part in ("hid", "me:"))
    monkeypatch.setenv("no_proxy", "s3.invalid")
    open_store("s3://bucket/x", "http://s3.invalid")


@pytest.mark.parametrize("proxy", ["http://me:hidden@::1:9", "http://me:hid#den@proxy", "me:hidden@proxy:9"])
def test_an_address_that_no_api_server_is_reached_by_is_refused_without_its_password(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    message = list_jobs(tmp_path, "http://api.invalid")
    assert "the proxy" in message
    assert not any(part in message for part in ("hid", "me:"))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_asks_for_a_user_is_a_setting_and_its_words_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refusing: str, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", refusing)
    with pytest.raises(StoreSetting, match="requires another user") as refused:
        open_store("s3://bucket/x", f"{scheme}://s3.invalid").within(0).get("a")
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", refusing)
    message = list_jobs(tmp_path, f"{scheme}://api.invalid")
    assert "requires another user" in message
    assert "hidden" not in f"{refused.value} {message}"


def test_an_ordinary_proxy_is_none_of_our_business(monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in (
        "http://proxy:3128",
        "proxy:3128",
        "http://me:word@10.0.0.1:3128/",
        "http://[fe80::1]:3128",
        "https://p",
    ):
        assert proxy_problem(proxy) == ""
        monkeypatch.setenv("ALL_PROXY", proxy)
        assert proxy_of("https://host") == proxy


def test_a_network_that_no_proxy_is_for_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", SOCKS)
    for entry in ("10.0.0.0/8", ".svc, 10.1.0.0/16 ,x", "10.1.2.3/8"):
        monkeypatch.setenv("NO_PROXY", entry)
        assert proxy_of("http://10.1.2.3:9000") == ""
        store = open_store("s3://bucket/x", "http://10.1.2.3:9000")
        assert isinstance(store, S3Store)
        assert store._link.client._endpoint.http_session._proxy_config.proxy_url_for("http://10.1.2.3:9000") is None
    monkeypatch.setenv("NO_PROXY", "fd00::/8")
    assert proxy_of("http://[fd00::7]:9000") == ""
    for url in ("http://10.1.2.3:9000", "http://10.example"):
        for entry in ("11.0.0.0/8", "10.0.0.0/99", "/8", "fd00::/8", ""):
            monkeypatch.setenv("NO_PROXY", entry)
            assert proxy_of(url) == SOCKS
