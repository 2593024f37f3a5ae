"""The proxy that a client would use, looked at before its library fails at it in words that repeat a password."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

LOOK = "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
USER = f"the proxy requires another user or password (407); {LOOK}"
_HTTP = ("http", "https")
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")


def proxy_of(url: str) -> str:
    """The proxy that the variables name for an address; empty where there is none."""
    parts = urlsplit(url)
    named = getproxies()
    proxy = named.get(parts.scheme) or named.get("all") or ""
    return "" if not proxy or bypasses_proxy(url) else proxy


def bypasses_proxy(url: str) -> bool:
    """Whether NO_PROXY names an address's host, or a network that it is in (10.0.0.0/8), which urllib and botocore do
    not look for."""
    parts = urlsplit(url)
    return bool(proxy_bypass(parts.netloc.rpartition("@")[2])) or _is_in_network(parts.hostname or "")


def _is_in_network(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for entry in getproxies().get("no", "").split(","):
        with suppress(ValueError):
            if "/" in entry and address in ip_network(entry.strip(), strict=False):
                return True
    return False


def proxy_problem(proxy: str, *, socks: bool = False) -> str:
    """Why no client can use a proxy's address, without repeating it; empty where one can. ``socks``: the client knows
    SOCKS, which needs PySocks."""
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    mistyped = "://" not in proxy and proxy.partition(":")[0].lower() in (*_HTTP, *_SOCKS)
    valid = host and not mistyped and port != 0 and proxy.isascii() and proxy.isprintable() and " " not in proxy
    if not valid or parts.query or parts.fragment or parts.scheme not in (*_HTTP, *_SOCKS):
        return f"the proxy's address is not valid; write http://HOST:PORT ({LOOK})"
    if parts.scheme in _HTTP:
        return ""
    if not socks:
        return f"the proxy is a SOCKS one, which can't be used here; name an HTTP proxy ({LOOK})"
    if find_spec("socks") is None:
        return f"the proxy is a SOCKS one, which needs PySocks: pip install PySocks, or name an HTTP proxy ({LOOK})"
    return ""
