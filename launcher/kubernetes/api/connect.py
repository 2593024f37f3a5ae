"""The way into a cluster, as kubectl finds it. The one module that imports ``kubernetes``."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atb.clock import SYSTEM_CLOCK, Clock
from atb.errors import AtbError, SpecError
from launcher.kubernetes.api.client import RETRY_SECONDS, Cluster
from launcher.kubernetes.api.responses import brief

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

CONNECT_SECONDS = 5.0
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def open_cluster(
    kubeconfig: str | None = None,
    context: str | None = None,
    namespace: str | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
    retry_seconds: float = RETRY_SECONDS,
) -> Cluster:
    """The cluster of a kubeconfig, or of the Pod this runs in. Raises SpecError where there is neither."""
    where = namespace or _namespace_of(kubeconfig, context) or "default"
    return Cluster(partial(_connect, kubeconfig, context), where, clock=clock, retry_seconds=retry_seconds)


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

    def __init__(self, client: ApiClient) -> None:
        import urllib3

        self._client = client
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
        self._client.update_params_for_auth(headers, [], ["BearerToken"], "", "GET", None)
        return headers

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


def _connect(kubeconfig: str | None, context: str | None) -> KubernetesConnection:
    import urllib3
    import yaml
    from kubernetes import client, config

    configuration = client.Configuration()
    configuration.retries = False
    configuration.connection_pool_maxsize = 64
    if kubeconfig is None and context is None and _in_a_pod():
        config.load_incluster_config(client_configuration=configuration)
    else:
        _refuse_old_login(kubeconfig, context)
        try:
            config.load_kube_config(kubeconfig, context, client_configuration=configuration, persist_config=False)
        except (config.ConfigException, OSError, yaml.YAMLError, TypeError) as error:  # TypeError: no mapping at all
            raise SpecError(
                f"no cluster can be reached: {brief(error)}; name one with --kubeconfig FILE or KUBECONFIG"
            ) from None
    if not configuration.verify_ssl:  # the kubeconfig's author chose this: no warning at each request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return KubernetesConnection(client.ApiClient(configuration))


_OLD_LOGINS = {
    "gcp": "install gke-gcloud-auth-plugin, then: gcloud container clusters get-credentials CLUSTER",
    "azure": "install kubelogin, then: kubelogin convert-kubeconfig",
}


def _refuse_old_login(kubeconfig: str | None, context: str | None) -> None:
    """Raise SpecError for a user who logs in as Kubernetes did before 1.26. Other problems are reported elsewhere."""
    import yaml
    from kubernetes.config import ConfigException, kube_config

    try:
        contexts, current = kube_config.list_kube_config_contexts(kubeconfig)
        named = {entry["name"]: entry["context"].get("user") for entry in contexts}
        user = named.get(context or current["name"])
        merged = kube_config.KubeConfigMerger(kubeconfig or kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config
        users = {entry["name"]: entry["user"].value for entry in merged["users"].value}
        provider = users[user]["auth-provider"]["name"]
    except (ConfigException, OSError, yaml.YAMLError, TypeError, KeyError, AttributeError):
        return
    if provider in _OLD_LOGINS:
        raise SpecError(
            f"the kubeconfig's user {user} logs in by the auth provider {provider}, which Kubernetes 1.26 removed; "
            f"{_OLD_LOGINS[provider]}"
        )


def _namespace_of(kubeconfig: str | None, context: str | None) -> str | None:
    import yaml
    from kubernetes import config

    if kubeconfig is None and context is None and _in_a_pod():
        return (_ACCOUNT / "namespace").read_text().strip()
    try:
        contexts, current = config.list_kube_config_contexts(kubeconfig)
    except (config.ConfigException, OSError, yaml.YAMLError, TypeError):
        if context is None:
            return None  # what is wrong is said when it is connected
        _connect(kubeconfig, context)  # and here, where it is more than that no context is the current one
        raise SpecError(f"the kubeconfig does not name a namespace for context {context}; add --namespace") from None
    return {entry["name"]: entry["context"].get("namespace") for entry in contexts}.get(context or current["name"])


def _in_a_pod() -> bool:
    inside = os.environ.get("KUBERNETES_SERVICE_HOST") and not os.environ.get("KUBECONFIG")
    return bool(inside) and (_ACCOUNT / "token").exists()
