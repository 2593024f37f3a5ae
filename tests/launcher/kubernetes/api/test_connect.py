"""Which address a request goes to: a kubeconfig may name a path below a server, or a proxy before it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from launcher.kubernetes.api.connect import open_cluster


class Recorder(ThreadingHTTPServer):
    """Answers every request with an empty list, and keeps the targets of their request lines."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.targets: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Recorder

    def do_GET(self) -> None:
        self.server.targets.append(self.path)
        body = b'{"items": [], "metadata": {"resourceVersion": "1"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def list_jobs(folder: Path, **cluster: str) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me", "namespace": "lab"}}],
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "me", "user": {"token": "a-token"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    opened = open_cluster(str(file), retry_seconds=0)
    opened.list("jobs", lambda job: None)
    opened.close()


@pytest.mark.parametrize("path", ["", "/", "/k8s/clusters/c-1"])
def test_a_path_in_the_servers_address_comes_before_every_request(
    recorder: Recorder, tmp_path: Path, path: str
) -> None:
    list_jobs(tmp_path, server=recorder.url + path)
    assert recorder.targets == [f"{path.rstrip('/')}/apis/batch/v1/namespaces/lab/jobs?limit=500"]


def test_a_proxy_gets_the_whole_address(recorder: Recorder, tmp_path: Path) -> None:
    list_jobs(tmp_path, server="http://api.example:6443/below", **{"proxy-url": recorder.url})
    assert recorder.targets == ["http://api.example:6443/below/apis/batch/v1/namespaces/lab/jobs?limit=500"]
