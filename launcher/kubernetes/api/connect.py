"""The way into a cluster, as kubectl finds it. The one module that imports ``kubernetes``."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.clock import Clock
from atb.errors import AtbError, SpecError
from atb.patience import WAITING_CLOCK
from atb.storage.proxies import LOOK, bypasses_proxy, proxy_problem
from launcher.kubernetes.api.client import RETRY_SECONDS, Cluster
from launcher.kubernetes.api.kubeconfig import Access, read_access
from launcher.kubernetes.api.requests import ApiError
from launcher.kubernetes.api.responses import brief

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, Configuration

CONNECT_SECONDS = 5.0
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def open_cluster(
    kubeconfig: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
    *,
    clock: Clock = WAITING_CLOCK,
    retry_seconds: float = RETRY_SECONDS,
) -> Cluster:
    """The cluster of a kubeconfig, or of the Pod this runs in. Raises SpecError where there is neither."""
    if kubeconfig is None and context is None and _in_a_pod():
        access, own = None, (_ACCOUNT / "namespace").read_text().strip()
    else:
        access = read_access(kubeconfig, context)
        own = access.namespace or "default"
    return Cluster(partial(_connect, access), namespace or own, clock=clock, retry_seconds=retry_seconds)


def describe_cluster(namespace: str | None, why: AtbError) -> Cluster:
    """A cluster that is never contacted: for what can be built without one. Each request raises ``why``."""
    return Cluster(lambda: _NoConnection(why), namespace or "default")


class _NoConnection:
    """Stands where a connection would."""

    host = "no cluster"

    def __init__(self, why: AtbError) -> None:
        self._why = why

    def credentials(self) -> dict[str, str]:
        raise self._why

    def request(self, method: str, url: str, *, body: bytes | None, headers: dict[str, str], read: float) -> Any:
        raise self._why

    def close(self) -> None:
        pass


class KubernetesConnection:
    """A client of the ``kubernetes`` package: of it we use the login and the pool of connections."""

    def __init__(self, client: ApiClient, access: Access | None = None) -> None:
        import urllib3

        self._client, self._access = client, access
        manager = client.rest_client.pool_manager
        if isinstance(manager, urllib3.ProxyManager):
            self._send, self._base = manager.urlopen, self.host
        else:  # the manager would look for this pool at each request, which takes a quarter of the request's time
            self._send = manager.connection_from_url(self.host).urlopen
            self._base = urllib3.util.parse_url(self.host).path or ""

    @property
    def host(self) -> str:
        return str(self._client.configuration.host)

    def credentials(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        with _errors_logged() as logged:  # a login that has expired is loaded again here
            self._client.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
        if logged and self._access is not None:
            raise ApiError(self._access.no_login(logged[0]))
        login = headers.get("authorization", "").strip()
        if not (login.isascii() and login.isprintable()):  # the words of whoever sends it would quote it
            raise SpecError(f"the login at {self.host} holds a character that no HTTP header may hold")
        return {**headers, "authorization": login} if login else headers

    def request(self, method: str, url: str, *, body: bytes | None, headers: dict[str, str], read: float) -> Any:
        import urllib3

        return self._send(
            method,
            f"{self._base}{url}",
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read),
            preload_content=False,
            retries=False,
            redirect=False,
        )

    def close(self) -> None:
        self._client.close()


def _connect(access: Access | None) -> KubernetesConnection:
    import urllib3
    from kubernetes import client, config

    configuration = client.Configuration()
    configuration.retries = False
    configuration.connection_pool_maxsize = 64
    if access is None:
        config.load_incluster_config(client_configuration=configuration)
    else:
        _load(access, configuration)
    if configuration.proxy and (problem := _proxy_problem(configuration)):
        raise SpecError(f"the API server {configuration.host} can't be reached: {problem}")
    if not configuration.verify_ssl:  # the kubeconfig's author chose this: no warning at each request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        return KubernetesConnection(client.ApiClient(configuration), access)
    except (OSError, urllib3.exceptions.HTTPError, ValueError) as error:  # certificates that are none, a proxy
        raise SpecError(f"the client of {configuration.host} can't be made: {brief(error)}") from None


def _proxy_problem(configuration: Configuration) -> str:
    """Why the package can't use the proxy that it would take; empty where it can, or takes none."""
    if bypasses_proxy(configuration.host):
        return ""
    if "://" not in configuration.proxy:
        return f"the proxy's address has no scheme; write http://HOST:PORT ({LOOK})"
    return proxy_problem(configuration.proxy, socks=True)


def _load(access: Access, configuration: Configuration) -> None:
    """Have the login loaded. A plugin that fails is only logged by the package, which goes on without a login."""
    from kubernetes import config

    with _errors_logged() as logged:
        try:
            config.load_kube_config(access.paths, access.context, configuration, persist_config=False)
        except config.ConfigException as error:
            raise SpecError(access.no_login(brief(error).partition("{")[0])) from None  # what follows quotes the login
        except OSError as error:
            raise SpecError(access.no_login(f"{error.strerror}: {error.filename}")) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f"a part of it is not what it should be ({type(error).__name__})"
            raise SpecError(access.no_login(why)) from None
    if logged:
        raise SpecError(access.no_login(logged[0]))


class _ErrorsKept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "root" and record.thread == self._thread:
            self.messages.append(record.getMessage())


@contextmanager
def _errors_logged() -> Iterator[list[str]]:
    """What the package logs as an error in this thread meanwhile: a list that grows. It has no logger of its own."""
    kept, root = _ErrorsKept(), logging.getLogger()
    root.addHandler(kept)
    try:
        yield kept.messages
    finally:
        root.removeHandler(kept)


def _in_a_pod() -> bool:
    inside = os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG")
    return bool(inside) and (_ACCOUNT / "token").exists()
