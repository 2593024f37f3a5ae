"""HTTP requests to an exchange: transient failures are retried, requested waits kept, other failures explained."""

from __future__ import annotations

import contextlib
import email.utils
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

import requests
import requests.adapters

from atb.clock import Clock
from atb.errors import DataError, NetworkError, SpecError
from atb.patience import INTERRUPT, WAITING_CLOCK, Patience
from atb.redaction import redact
from atb.storage.proxies import LOOK, proxy_of, proxy_problem

PATIENCE_SECONDS = 60.0
"""How long a failing request is retried, not counting the waits that the host requests."""
LONGEST_WAIT_SECONDS = 600.0
"""A host that requests a longer wait is given up; the job's next attempt comes later."""
MOST_BYTES = 64 << 20
"""Of an answer: ten times a packed month of the shortest bars, or a list of all symbols. Several are read at a time."""
_PIECE = 1 << 16
_TIMEOUT = (10.0, 30.0)
_BANNED_SECONDS = 120.0
"""How long to keep away after a 418 that names no time."""
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_BANNED_UNTIL = re.compile(rb"banned until ([0-9]{10}|[0-9]{13})(?![0-9])")
"""Seconds or milliseconds since 1970; anything else names no instant."""
_BUSY = re.compile(rb'"code" ?: ?-10(00|01|03|06|07|08|15|16)[^0-9]')
"""Codes of Binance for what is no fault of the request, which also come with status 400."""
_LATER = "; try later, with fewer jobs at once, or set ATB_BINANCE_REST_URL to a mirror"


@dataclass(frozen=True)
class Answer:
    """What came back whole: status 200, 400 or 404, the body, and the host's own time where it says so."""

    status: int
    body: bytes
    host_ms: int | None


class Http:
    """One exchange's connections; safe to share between threads. Proxies come from the usual variables.

    429 and 418 hold back every request to that host for as long as ``Retry-After`` or the body says. ``say`` is called
    with a message for each wait. SIGTERM and Ctrl-C end a wait at once.
    """

    def __init__(
        self,
        *,
        timeout: tuple[float, float] = _TIMEOUT,
        clock: Clock = WAITING_CLOCK,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:
        self._timeout, self._clock, self._say = timeout, clock, say
        self._patience = Patience(PATIENCE_SECONDS, clock)
        self._lock = threading.Lock()
        self._free_at: dict[str, float] = {}
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=32))

    def get(self, url: str, params: Mapping[str, str | int] | None = None) -> Answer:
        """The answer, after PATIENCE_SECONDS at most. Raises NetworkError; DataError or SpecError for a permanent
        failure."""
        return self._patience.persist(lambda: self._get_once(url, params), self._say, _host(url))

    def _get_once(self, url: str, params: Mapping[str, str | int] | None) -> Answer:
        host, path = _host(url), urlsplit(url).path
        self._wait_until_free(host)
        try:
            with self._session.get(url, params=params, timeout=self._timeout, stream=True) as answer:
                body = _read_body(answer, url)
        except (requests.RequestException, OSError, ValueError) as error:  # a redirect to what is no address
            raise _explain(error, url) from None
        busy = answer.status_code == 400 and _BUSY.search(body[:4096])
        if answer.status_code in (200, 400, 404) and not busy:
            return Answer(answer.status_code, body, _host_ms(answer))
        if answer.status_code == 451:
            remedy = (
                "set ATB_BINANCE_REST_URL to a mirror, choose an --as-of two days ago so that the archive has it all"
            )
            if path.endswith((".zip", ".CHECKSUM")):
                remedy = "set ATB_BINANCE_ARCHIVE_URL to a mirror"
            raise CountryRefused(
                f"{host} refuses to serve this country (451): {remedy}, or use --source files:PATH or ccxt:EXCHANGE"
            )
        message = f"{host} answered {answer.status_code} to {path}"
        wait = self._named_wait(answer, body)
        if wait is not None:
            self._hold_back(host, answer.status_code, max(wait, 1.0))
            raise _HeldBack(message + _LATER)
        if answer.status_code == 407:
            raise SpecError(f"{message}: the proxy requires a user; {_PROXY_USER}")
        if answer.status_code in (403, 429):
            raise _Transient(message + _LATER)
        if busy or answer.status_code == 408 or answer.status_code >= 500:
            raise _Transient(message)
        raise DataError(f"{message}; look at the ATB_BINANCE_… variables, --market and the symbol")

    def _wait_until_free(self, host: str) -> None:
        with self._lock:
            wait = self._free_at.get(host, 0.0) - self._clock.monotonic()
        if wait <= 0:
            return
        if wait > 1:
            self._say(f"{host} asked for a pause of another {wait:.0f} s; waiting")
        interrupts = INTERRUPT.count
        self._clock.sleep(wait)
        if INTERRUPT.count != interrupts:
            raise NetworkError(f"stopped while waiting for {host}")

    def _hold_back(self, host: str, status: int, wait: float) -> None:
        if wait > LONGEST_WAIT_SECONDS:
            raise NetworkError(
                f"{host} has blocked this address ({status}) for {wait:,.0f} s{self._until(wait)}; asking again "
                "prolongs it: try later, run fewer jobs at once, or set ATB_BINANCE_REST_URL to a mirror"
            )
        with self._lock:
            self._free_at[host] = max(self._free_at.get(host, 0.0), self._clock.monotonic() + wait)

    def _until(self, wait: float) -> str:
        """When a wait ends, in words; empty where no calendar has that."""
        try:
            return f", until {datetime.fromtimestamp(self._clock.now() + wait, UTC):%Y-%m-%d %H:%M} UTC"
        except (ValueError, OverflowError, OSError):
            return ""

    def _named_wait(self, answer: requests.Response, body: bytes) -> float | None:
        """The seconds in ``Retry-After``, a number or a date (RFC 9110, 10.2.3), or until the instant that the body
        names; a ban without either has our own."""
        header = answer.headers.get("Retry-After", "").strip()
        if answer.status_code not in (418, 429, 503):
            return None
        if _SECONDS.fullmatch(header):
            return float(header)
        now = self._clock.now()
        with contextlib.suppress(ValueError, OverflowError):
            return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - now)
        if until := _BANNED_UNTIL.search(body[:4096]):
            host_ms = _host_ms(answer)
            end = int(until[1]) / (1000 if len(until[1]) == 13 else 1)
            return max(0.0, end - (now if host_ms is None else host_ms / 1000))
        return _BANNED_SECONDS if answer.status_code == 418 else None


class CountryRefused(DataError):
    """The host serves this country nothing; another host may have the same bars."""


class _Transient(NetworkError):
    """A failure that may not recur at the next attempt."""

    retry_seconds = math.inf


class _HeldBack(_Transient):
    """Wait as long as the host says, without anything added."""

    retry_after = 0.0


_BAD_BUNDLE = ("CERTIFICATE_VERIFY", "CERTIFICATE_OR_CRL", "PEM lib")
"""What OpenSSL says of certificates that don't vouch for the host, or are none."""
_PROXY_USER = "put user and password into the proxy variable by a Secret, or take one that needs none"


def _explain(error: Exception, url: str) -> NetworkError | SpecError:
    """A failed request in our own words: those of requests can hold a proxy's password."""
    kinds, words, host = requests.exceptions, str(error), _host(url)
    if (proxy := proxy_of(url)) and (problem := proxy_problem(proxy, socks=True)):
        return SpecError(problem)
    if isinstance(error, kinds.InvalidProxyURL) or (isinstance(error, kinds.ProxyError) and "scheme" in words):
        return SpecError(f"the proxy's address is not valid; write http://HOST:PORT ({LOOK})")
    if isinstance(error, kinds.InvalidURL | kinds.InvalidSchema | kinds.MissingSchema):
        if host and urlsplit(url).scheme in ("http", "https"):
            return NetworkError(f"{host} redirects to what is no address; look at the ATB_BINANCE_… variables")
        return SpecError(f"{redact(url)} is not an address; look at the ATB_BINANCE_… variables")
    if isinstance(error, kinds.ProxyError) and "407" in words:
        return SpecError(f"the proxy requires a user (407); {_PROXY_USER}")
    if isinstance(error, kinds.SSLError) and any(part in words for part in _BAD_BUNDLE):
        return SpecError(
            f"the certificate of {host} is not trusted, or REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names no certificates: "
            "name your authority's file in REQUESTS_CA_BUNDLE, as a proxy that decrypts connections requires"
        )
    if not isinstance(error, requests.RequestException) and "CA certificate bundle" in words:
        return SpecError("REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that is not there")
    if not isinstance(error, requests.RequestException | OSError):
        return NetworkError(f"{host} redirects to what is no address; look at the ATB_BINANCE_… variables")
    cause = "it took too long" if isinstance(error, requests.Timeout) else type(error).__name__
    if isinstance(error, kinds.ProxyError):
        cause = "the proxy did not let us through"
    return _Transient(
        f"{host} did not answer {urlsplit(url).path}: {cause}; if it can't be reached from here, "
        "a mirror (ATB_BINANCE_ARCHIVE_URL, ATB_BINANCE_REST_URL) or a proxy (HTTPS_PROXY) may help"
    )


def _read_body(answer: requests.Response, url: str) -> bytes:
    """The body, unpacked. Raises DataError for more than MOST_BYTES, and what requests raises."""
    pieces, size = [], 0
    for piece in answer.iter_content(_PIECE):
        size += len(piece)
        if size > MOST_BYTES:
            raise DataError(
                f"{_host(url)} answered {urlsplit(url).path} with more than {MOST_BYTES >> 20} MiB; look at the "
                "ATB_BINANCE_… variables"
            )
        pieces.append(piece)
    return b"".join(pieces)


def _host(url: str) -> str:
    """Host and port, without a user and a password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _host_ms(answer: requests.Response) -> int | None:
    """The header ``Date``, in milliseconds."""
    with contextlib.suppress(ValueError, OverflowError):
        return int(email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).timestamp() * 1000)
    return None
