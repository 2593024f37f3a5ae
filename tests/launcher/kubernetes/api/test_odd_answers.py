"""What is no answer of an API server, by whoever stands in front of it: one line, and never a traceback."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from atb.clock import SystemClock
from atb.contract import labels
from atb.errors import SpecError
from atb.storage import MemoryStore
from atb.threads import SYSTEM_THREADS
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.client import Cluster
from launcher.kubernetes.api.informer import Changed, Heartbeat, Listed, Unreachable, follow
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.api.responses import error_from
from launcher.kubernetes.control.actions import Create, PutOff, Refused
from launcher.kubernetes.control.perform import Performer
from launcher.kubernetes.objects.ensure import create_job, find_owner
from launcher.kubernetes.objects.kueue import queue_reasons, queue_version
from launcher.kubernetes.objects.pod import Target
from launcher.kubernetes.objects.warnings import read_warnings
from tests.launcher.fixtures import make_options, make_plan, make_try

GET = requests.get("configmaps", "lab", "x")


class Response:
    """As urllib3 has it."""

    status = 200

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.headers = {"Content-Type": "text/html" if body.startswith(b"<") else "application/json"}

    def read(self) -> bytes:
        return self._body

    def stream(self, size: int, *, decode_content: bool) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None: ...

    def release_conn(self) -> None: ...


class Connection:
    """A connection to a server that answers each request with the next of these, and the last one for ever."""

    host = "https://api.example"

    def __init__(self, *bodies: bytes) -> None:
        self._bodies = list(bodies)

    def credentials(self) -> dict[str, str]:
        return {}

    def request(self, *arguments: Any, **options: Any) -> Response:
        return Response(self._bodies.pop(0) if len(self._bodies) > 1 else self._bodies[0])

    def close(self) -> None: ...


def cluster(*bodies: bytes) -> Cluster:
    return Cluster(lambda: Connection(*bodies), "lab", retry_seconds=0.0)


def page(**changes: Any) -> bytes:
    return json.dumps({"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [], **changes}).encode()


@pytest.mark.parametrize(
    "body", [b"", b"<html>log in</html>", b"null", b"[]", b"5", b"{}", b"[" * 100_000, b'{"a": "\xff"}', b'{"kind"']
)
def test_an_answer_that_is_no_object_is_an_error(body: bytes) -> None:
    for send in (cluster(body).send, cluster(body).send_once):
        with pytest.raises(ApiError, match=r"(an object of Kubernetes|a web page); look at the server's address"):
            send(GET)


@pytest.mark.parametrize(
    "body",
    [
        page(items=[5]), page(items=[{}]), page(items=[{"metadata": None}]), page(items={"a": 1}), page(metadata=None),
        page(items=[{"metadata": {"name": "x"}}]), page(metadata={"continue": "same"}),
    ],
)  # fmt: skip
def test_a_list_that_can_t_be_read_or_never_ends_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiError, match=r"pods (that can't be read|without an end)"):
        cluster(body).list("pods", lambda pod: pod["spec"])


@pytest.mark.parametrize(
    "change",
    [
        [1], None, 5, {}, {"type": "ADDED"}, {"type": "BOOKMARK", "object": {"metadata": {}}},
        {"type": "BOOKMARK", "object": None}, {"type": "ERROR", "object": None},
        {"type": "ERROR", "object": {"code": "many"}},
        {"type": "DELETED", "object": {"metadata": {"resourceVersion": "8"}}},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": 8}}},
        {"type": "ADDED", "object": {"metadata": {"resourceVersion": "8", "name": ["x"]}}},
    ],
)  # fmt: skip
def test_a_change_that_can_t_be_read_is_an_error(change: Any) -> None:
    watch = cluster(json.dumps(change).encode()).watch("pods", "7")
    assert next(watch)[0] == "OPENED"
    with pytest.raises(ApiError, match="pods"):
        next(watch)


def test_a_change_of_another_kind_is_none() -> None:
    item = {"metadata": {"name": "ghost", "resourceVersion": "8"}}
    server = cluster(page(), b"\n".join(json.dumps({"type": kind, "object": item}).encode() for kind in ("ODD", None)))
    changes = follow(server, "pods", "", lambda pod: pod, SYSTEM_THREADS.flag())
    assert [type(next(changes)) for _ in range(3)] == [Listed, Heartbeat, Heartbeat]


def test_a_version_that_the_server_has_never_had_is_given_up_in_time() -> None:
    class Restored(Connection):
        """Its data are of an earlier time than those of the first list."""

        def request(self, method: str, url: str, **options: Any) -> Response:
            answer = super().request(method, url, **options)
            answer.status = 504 if "watch=true" in url else 200
            return answer

    body = page()
    changes = follow(
        Cluster(lambda: Restored(body), "lab", clock=Leaping(), retry_seconds=0.0),
        "pods", "", lambda pod: pod, Hasty(),
    )  # fmt: skip
    assert [isinstance(next(changes), Listed) for _ in range(30)].count(True) > 1


class Hasty(threading.Event):
    """A flag that nobody waits for."""

    def wait(self, timeout: float | None = None) -> bool:
        return self.is_set()


def test_a_watch_goes_on_behind_an_object_that_can_t_be_read() -> None:
    def added(name: str, **fields: Any) -> bytes:
        return json.dumps(
            {"type": "ADDED", "object": {"metadata": {"name": name, "resourceVersion": "8"}, **fields}}
        ).encode()

    server = cluster(page(), added("odd") + b"\n" + added("unseen", spec=1), added("sound", spec=2))
    changes = follow(server, "pods", "", lambda pod: pod["spec"], SYSTEM_THREADS.flag())
    kinds = [next(changes) for _ in range(4)]
    assert isinstance(kinds[0], Listed)
    assert isinstance(kinds[1], Unreachable)
    assert Changed("sound", 2) in kinds


def test_a_watch_that_is_a_web_page_or_held_back_is_no_quiet_one() -> None:
    for body in (b"<html>log in</html>", b"log in"):
        server = Cluster(lambda body=body: Connection(page(), body), "lab", retry_seconds=0.0)  # type: ignore[misc]
        changes = follow(server, "pods", "", lambda pod: pod, SYSTEM_THREADS.flag())
        assert isinstance(next(changes), Listed)
        assert isinstance(next(changes), Unreachable)
    held_back = Cluster(lambda: Connection(page(), b"", b"", page()), "lab", clock=Leaping())
    changes = follow(held_back, "pods", "", lambda pod: pod, SYSTEM_THREADS.flag(), shortest=0.0)
    kinds = [type(next(changes)) for _ in range(4)]
    assert kinds == [Listed, Heartbeat, Heartbeat, Listed]


class Leaping(SystemClock):
    """Each look is half a minute after the one before."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.looks * 15.0


@pytest.mark.parametrize(
    ("status", "body"), [(302, b""), (403, b"<html>blocked</html>"), (404, b"<html>no</html>"), (200, b"<html>log in")]
)
def test_what_another_server_answers_is_asked_again_once_the_real_one_has_answered(status: int, body: bytes) -> None:
    class Between(Connection):
        """Answers a request in the real server's place."""

        def request(self, *arguments: Any, **options: Any) -> Response:
            answer = super().request(*arguments, **options)
            if answer.read() == body:
                answer.status = status
            return answer

    found = b'{"kind": "ConfigMap", "metadata": {"name": "x"}}'
    waits: list[str] = []
    known = Cluster(lambda: Between(found, body, found), "lab")
    known.on_wait = waits.append
    known.send(GET)
    assert known.send(GET)["kind"] == "ConfigMap"
    assert waits[-1] == "the API server answers again"
    with pytest.raises(ApiError, match="look at") as refused:
        Cluster(lambda: Between(body, found), "lab").send(GET)
    assert refused.value.foreign


@pytest.mark.parametrize(
    ("body", "outcome"),
    [(b"", PutOff), (b"denied by policy", PutOff), (b"<html>no</html>", PutOff), (b'{"kind": "Status"}', Refused)],
)
def test_a_job_is_refused_by_the_api_server_alone(body: bytes, outcome: type) -> None:
    class Refusing(Connection):
        def request(self, *arguments: Any, **options: Any) -> Response:
            answer = super().request(*arguments, **options)
            answer.status = 403
            return answer

    server, plan = Cluster(lambda: Refusing(body), "lab", retry_seconds=0.0), make_plan("BTCUSDT")
    performer = Performer(server, MemoryStore(), plan, make_options(), Target("run-1", "s3://b"))
    assert isinstance(performer.perform(Create("BTCUSDT-fast", make_try())), outcome)


def test_the_words_of_a_server_steer_no_terminal_and_fill_no_screen() -> None:
    call = Call("GET", "/x")
    for body in (
        b"<html>\x1b[2J" + b"x" * 5000,
        json.dumps({"message": "\x1b[2J" + "x" * 5000}).encode(),
        b"[" * 100_000,
    ):
        message = str(error_from(call, 403, {}, body))
        assert message.isprintable()
        assert len(message) < 1100


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "HTTP 503"), (b"no healthy upstream", "HTTP 503: no healthy upstream"), (b'["x"]', "HTTP 503: "),
        (b"<html>Gateway</html>", "HTTP 503: a web page"), (b'{"message": null}', "HTTP 503: "),
        (b'{"message": "etcd is away"}', "etcd is away"),
    ],
)  # fmt: skip
def test_an_error_is_in_the_words_of_kubernetes_or_has_its_status(body: bytes, words: str) -> None:
    assert str(error_from(Call("GET", "/x"), 503, {}, body)).startswith(f"GET /x: {words}")


def test_an_answer_that_lacks_what_is_looked_for_is_an_error() -> None:
    bare = json.dumps({"kind": "Job", "metadata": {"name": "x"}}).encode()
    event = page(items=[{"metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}}])
    job = {"metadata": {"name": "x", "annotations": {labels.SPEC_ANNOTATION: "1"}}}
    for act in (
        lambda: find_owner(cluster(bare), "r"),
        lambda: create_job(cluster(bare), job),
        lambda: read_warnings(cluster(event)),
        lambda: queue_version(cluster(bare)),
        lambda: queue_reasons(cluster(page(items=[5])), "v1"),
    ):
        with pytest.raises(ApiError, match="that can't be read"):
            act()


def test_an_answer_that_repeats_the_login_is_not_printed_with_it() -> None:
    class Echo(Connection):
        def credentials(self) -> dict[str, str]:
            return {"authorization": "Bearer hidden"}

        def request(self, *arguments: Any, **options: Any) -> Response:
            answer = Response(json.dumps({"message": "no right for hidden (Authorization: Bearer hidden)"}).encode())
            answer.status = 403
            return answer

    with pytest.raises(ApiError, match="no right for") as refused:
        Cluster(Echo, "lab", retry_seconds=0.0).send(GET)
    assert "hidden" not in f"{refused.value} {vars(refused.value)}"


def test_a_certificate_that_is_not_trusted_is_a_setting_until_the_server_has_answered() -> None:
    class Unknown(Connection):
        def request(self, *arguments: Any, **options: Any) -> Response:
            raise ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")

    opened = Cluster(Unknown, "lab", retry_seconds=0.0)
    with pytest.raises(SpecError, match="name its authority in the kubeconfig"):
        opened.send(GET)
    opened._answered = True
    with pytest.raises(ApiError, match="does not answer"):
        opened.send(GET)
