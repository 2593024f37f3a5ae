"""Sends calls to the API server, retries transient failures, and reads raw JSON and bytes."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from pydantic_core import to_json

from atb.clock import Clock
from atb.errors import SpecError
from atb.patience import INTERRUPT, LAST_SECONDS, WAITING_CLOCK
from launcher.kubernetes.api import requests
from launcher.kubernetes.api.requests import ApiError, Call
from launcher.kubernetes.api.responses import (
    brief,
    error_from,
    parse_answer,
    parse_date,
    parse_json,
    read_change,
    split_lines,
    wrong_setting,
)

_Facts = TypeVar("_Facts")

RETRY_SECONDS = 120.0
"""How long one call is retried before its failure is reported."""
FOREIGN_SECONDS = 20.0
"""The same for what something else answers in the place of an API server that has answered before."""
SHORTEST_WAIT, LONGEST_WAIT = 0.25, 30.0
"""Seconds between two tries, whatever the server says."""
BACK = "the API server answers again"
_AUTHORIZATION_SECONDS = 10.0
"""How long a client's credentials are used before they are loaded again; 401 makes a new client at once."""


class Connection(Protocol):
    """A way to an API server, with the credentials of one login."""

    @property
    def host(self) -> str:
        """The API server's address."""

    def credentials(self) -> dict[str, str]:
        """The headers that say who we are."""

    def request(self, method: str, url: str, *, body: bytes | None, headers: dict[str, str], read: float) -> Any:
        """An open response as urllib3 has it. ``read`` bounds the silence between two bytes, in seconds."""

    def close(self) -> None:
        """Close what is open and not in use."""


class Cluster:
    """An API server and a namespace. Safe to share between threads.

    ``connect`` returns a client, and is called again when the credentials have expired (401).
    ``on_wait`` gets a message that says why a call is waiting.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        namespace: str,
        *,
        clock: Clock = WAITING_CLOCK,
        retry_seconds: float = RETRY_SECONDS,
        jitter: random.Random | None = None,
    ) -> None:
        self.namespace = namespace
        self.on_wait: Callable[[str], None] = lambda _: None
        self.requests = self.watches = 0
        self._connect, self.clock = connect, clock
        self.jitter = jitter or random.Random()  # our own: waiting must not advance a seeded generator
        self._retry_seconds = retry_seconds
        self._lock = threading.Lock()
        self._client = connect()
        self._authorization: tuple[float, Connection | None, dict[str, str]] = (0.0, None, {})
        self._skew, self._date = 0.0, ""
        self._answered = False
        """Whether an API server has answered: then its address and the way to it are right."""

    @property
    def host(self) -> str:
        """The API server's address."""
        return self._client.host

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._client.close()

    def now(self) -> float:
        """Seconds since 1970 by the API server's clock, as far as its responses show."""
        return self.clock.now() + self._skew

    def send(self, call: Call, read: Callable[[dict[str, Any]], Any] = lambda answer: answer) -> Any:
        """What ``read`` makes of the parsed answer.

        Tries again on 429, 5xx and a broken connection, POST included: names are deterministic. Raises ApiError, also
        where ``read`` doesn't find what it looks for.
        """
        answer = self._retry(call)
        with self.understood(call.path):
            return read(answer)

    def send_once(self, call: Call) -> Any:
        """The parsed answer of a single try. Raises ApiError."""
        answer = parse_answer(self.host, call, self._read(call))
        self._answered = True
        return answer

    def list(
        self, resource: str, read: Callable[[dict[str, Any]], _Facts], *, selector: str = "", fields: str = ""
    ) -> tuple[dict[str, _Facts], str]:
        """What ``read`` keeps of each object, by name, and the version from which a watch continues.

        Whole objects are in memory a page at a time. A list whose token has expired (410) begins anew.
        Raises ApiError.
        """
        found, token = dict[str, _Facts](), ""
        while True:
            call = requests.list_page(resource, self.namespace, selector=selector, fields=fields, token=token)
            try:
                page = self.send(call)
            except ApiError as error:
                if error.status == 410 and token:
                    found, token = {}, ""
                    continue
                raise
            with self.understood(resource):
                for item in page.get("items") or []:
                    found[item["metadata"]["name"]] = read(item)
                before, token = token, page["metadata"].get("continue", "")
                if not token:
                    return found, page["metadata"].get("resourceVersion", "")
            if token == before:
                raise ApiError(f"{self.host} lists {resource} without an end")

    def watch(self, resource: str, version: str, *, selector: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """``(type, object)`` of each change until the server ends the watch; the first is OPENED, with no object.

        Raises ApiError; 410 means list again.
        """
        with self._lock:
            self.watches += 1
        with self.stream(requests.watch(resource, self.namespace, version, selector=selector)) as chunks:
            yield "OPENED", {}
            for line in split_lines(chunks):
                try:
                    change = parse_json(line)
                except ValueError:
                    if line.startswith(b"{"):
                        return  # the connection broke within a line; the watch is opened again
                    raise ApiError.by_another(f"{self.host} sent a watch of {resource} that is none") from None
                with self.understood(resource):
                    kind, item = read_change(resource, change)
                yield kind, item

    @contextmanager
    def understood(self, resource: str) -> Iterator[None]:
        """Take what has not the shape of a resource for an answer that is none."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise ApiError(
                f"{self.host} sent {resource} that can't be read ({type(error).__name__}: {brief(error)}); look at "
                "what stands between here and the API server"
            ) from None

    @contextmanager
    def stream(self, call: Call) -> Iterator[Iterator[bytes]]:
        """The answer's bytes as they come. Raises ApiError, also in the middle."""
        response = self._open(call)
        try:
            yield self._chunks(call, response)
        finally:
            response.close()
            response.release_conn()

    def _chunks(self, call: Call, response: Any) -> Iterator[bytes]:
        import urllib3

        try:
            yield from response.stream(65_536, decode_content=True)
        except urllib3.exceptions.ReadTimeoutError:
            return  # silence is no error: the reader resumes where it was
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(f"{self.host} broke off {call.path}: {brief(error)}") from None

    def _retry(self, call: Call) -> dict[str, Any]:
        signals_before, began = INTERRUPT.count, self.clock.monotonic()
        seconds = min(self._retry_seconds, LAST_SECONDS) if signals_before else self._retry_seconds
        delay, waited = 0.25, False
        while True:
            try:
                found: dict[str, Any] = self.send_once(call)
            except ApiError as error:
                give_up = began + (min(seconds, FOREIGN_SECONDS if self._answered else 0) if error.foreign else seconds)
                wait = delay * self.jitter.uniform(0.75, 1.25)
                if error.retry_after is not None:
                    wait = max(error.retry_after, SHORTEST_WAIT)
                # a merge patch names no version: 409 means that other writers kept changing its object
                transient = error.transient or (error.status == 409 and call.method == "PATCH")
                if not transient or self.clock.monotonic() + wait > give_up or INTERRUPT.count != signals_before:
                    raise
                busy = f"answers {error.status}" if error.status else "does not answer"
                busy = f"is busy ({error.status})" if error.status in (409, 429) else busy
                busy = f"{busy}, but something else in its place" if error.foreign else busy
                self.on_wait(f"the API server {busy}; trying again in {wait:.1f} s")
                waited = True
                self.pause(wait, error)
            else:
                if waited:
                    self.on_wait(BACK)
                return found
            delay = min(delay * 2, LONGEST_WAIT)

    def pause(self, seconds: float, error: ApiError) -> None:
        """Wait before another try. Raises ``error`` at once on a stop signal."""
        signals_before = INTERRUPT.count
        self.clock.sleep(min(seconds, LONGEST_WAIT))
        if INTERRUPT.count != signals_before:
            raise error

    def _read(self, call: Call) -> bytes:
        import urllib3

        response = self._open(call)
        try:
            return bytes(response.read())
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiError(f"{self.host} broke off {call.path}: {brief(error)}") from None
        finally:
            response.release_conn()

    def _open(self, call: Call) -> Any:
        client = self._client
        try:
            return self._open_with(client, call)
        except ApiError as error:
            if error.status != 401:
                raise
        with self._lock:
            if self._client is client:
                try:
                    self._client = self._connect()
                except SpecError as problem:  # what was a login may be one again
                    raise ApiError(str(problem), 401, "Unauthorized") from None
        return self._open_with(self._client, call)

    def _open_with(self, client: Connection, call: Call) -> Any:
        import urllib3

        headers = {"Accept": call.accept, "User-Agent": "atb-launch", **self._credentials(client)}
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        body = to_json(call.body) if call.body is not None else None
        with self._lock:
            self.requests += 1
        try:
            response = client.request(call.method, call.url, body=body, headers=headers, read=call.timeout)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if not self._answered and (setting := wrong_setting(error)):
                raise SpecError(f"the API server {self.host} can't be reached: {setting}") from None
            raise ApiError(f"the API server {self.host} does not answer: {brief(error)}") from None
        self._learn_clock(response.headers.get("Date"))
        if response.status < 300 and "html" not in (response.headers.get("Content-Type") or ""):
            return response
        try:
            body = response.read()
        except (urllib3.exceptions.HTTPError, OSError):
            body = b""  # the status says enough
        finally:
            response.release_conn()
        if login := headers.get("authorization", "").rpartition(" ")[2]:  # whoever stands in front may repeat it
            body = body.replace(login.encode(), b"[redacted]")
        raise error_from(call, response.status, response.headers, body)

    def _credentials(self, client: Connection) -> dict[str, str]:
        """The client's headers; asking it costs as much as half a request, so an answer is kept for a moment."""
        connected_at, whose, kept = self._authorization
        if whose is not client or self.clock.monotonic() > connected_at + _AUTHORIZATION_SECONDS:
            kept = client.credentials()
            self._authorization = (self.clock.monotonic(), client, kept)
        return kept

    def _learn_clock(self, date: str | None) -> None:
        if date is None or date == self._date:
            return
        self._date = date
        if (at := parse_date(date)) is not None:
            skew = at - self.clock.now()
            self._skew = skew if abs(skew) > 2 else 0.0  # the header has whole seconds
