"""Asking an exchange over HTTP: patient with what passes, obedient to the wait it names, clear about what does not."""

from __future__ import annotations

import contextlib
import email.utils
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import requests.adapters
import tenacity

from atb.errors import DataError, NetworkError, SpecError

ATTEMPTS = 5
LONGEST_WAIT_SECONDS = 600.0
"""A host that asks for more is given up; the job's next attempt comes later."""
_TIMEOUT = (10.0, 30.0)
_FIRST_BACKOFF, _LONGEST_BACKOFF = 1.0, 30.0
_BANNED_SECONDS = 120.0
"""How long to keep away after a 418 that names no time."""


@dataclass(frozen=True)
class Answer:
    """What came back whole: status 200, 400 or 404, the body, and the host's own time where it says so."""

    status: int
    body: bytes
    host_ms: int | None


class Http:
    """One exchange's connections; safe to share between threads. Proxies come from the usual variables.

    429 and 418 hold back every request to that host for as long as ``Retry-After`` says.
    """

    def __init__(
        self,
        *,
        timeout: tuple[float, float] = _TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout = timeout
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at: dict[str, float] = {}
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=32))

    def get(self, url: str, params: Mapping[str, str | int] | None = None) -> Answer:
        """The answer, after as many as ATTEMPTS tries. Raises NetworkError, DataError for 451, SpecError."""
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_backoff,
            retry=tenacity.retry_if_exception_type(_Passing),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._get_once, url, params)

    def _get_once(self, url: str, params: Mapping[str, str | int] | None) -> Answer:
        host = urlsplit(url).netloc
        self._wait_until_free(host)
        try:
            answer = self._session.get(url, params=params, timeout=self._timeout)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
            raise SpecError(f"{url} is not an address; look at the ATB_BINANCE_… variables") from None
        except requests.RequestException as error:
            raise _Passing(
                f"{host} did not answer {urlsplit(url).path}: {_cause(error)}; where there is no way out to it, "
                "a mirror (ATB_BINANCE_ARCHIVE_URL, ATB_BINANCE_REST_URL) or a proxy (HTTPS_PROXY) may help"
            ) from None
        if answer.status_code in (200, 400, 404):
            return Answer(answer.status_code, answer.content, _host_ms(answer))
        if answer.status_code == 451:
            raise DataError(
                f"{host} refuses to serve this country (451): set ATB_BINANCE_REST_URL to a mirror, choose an --as-of "
                "two days ago so that the archive has it all, or take --source files:PATH or ccxt:EXCHANGE"
            )
        said = f"{host} answered {answer.status_code} to {urlsplit(url).path}"
        wait = _named_wait(answer)
        if wait is not None:
            self._hold_back(host, answer.status_code, wait)
            raise _HeldBack(said)
        if answer.status_code in (403, 408, 429) or answer.status_code >= 500:
            raise _Passing(said)
        raise NetworkError(said)

    def _wait_until_free(self, host: str) -> None:
        with self._lock:
            wait = self._free_at.get(host, 0.0) - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _hold_back(self, host: str, status: int, wait: float) -> None:
        if wait > LONGEST_WAIT_SECONDS:
            raise NetworkError(
                f"{host} has shut this address out ({status}) for {wait:,.0f} s; asking again prolongs it: "
                "try later, run fewer jobs at once, or set ATB_BINANCE_REST_URL to a mirror"
            )
        with self._lock:
            self._free_at[host] = max(self._free_at.get(host, 0.0), self._clock() + wait)


class _Passing(NetworkError):
    """May be gone at the next try."""


class _HeldBack(_Passing):
    """The host has said when; nothing is added to that."""


_exponential = tenacity.wait_exponential_jitter(initial=_FIRST_BACKOFF, max=_LONGEST_BACKOFF)


def _backoff(state: tenacity.RetryCallState) -> float:
    held_back = state.outcome is not None and isinstance(state.outcome.exception(), _HeldBack)
    return 0.0 if held_back else _exponential(state)


def _named_wait(answer: requests.Response) -> float | None:
    """The seconds in ``Retry-After``, a number or a date (RFC 9110, 10.2.3); a ban without it has our own."""
    header = answer.headers.get("Retry-After", "").strip()
    if answer.status_code not in (418, 429, 503):
        return None
    if header.isdigit():
        return float(header)
    with contextlib.suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return _BANNED_SECONDS if answer.status_code == 418 else None


def _host_ms(answer: requests.Response) -> int | None:
    """The header ``Date``, in milliseconds."""
    with contextlib.suppress(ValueError):
        return int(email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).timestamp() * 1000)
    return None


def _cause(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "it took too long"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy did not let us through"
    return type(error).__name__
