"""The kubeconfig, read before the ``kubernetes`` package loads it, which says little of one that can't be used, and may
quote a login's secrets."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from atb.errors import SpecError
from atb.options.text_file import read_text_file
from atb.redaction import redact
from atb.schema import printable

DEFAULT = "~/.kube/config"
_REMEDY = "correct it, or name another one with --kubeconfig FILE or KUBECONFIG"
_OLD_LOGINS = {
    "gcp": "install gke-gcloud-auth-plugin, then: gcloud container clusters get-credentials CLUSTER",
    "azure": "install kubelogin, then: kubelogin convert-kubeconfig",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What a context of a kubeconfig comes to. ``plugin`` is the command that logs the user in, where there is one."""

    paths: str
    context: str
    user: str
    namespace: str | None
    plugin: str | None

    def no_login(self, why: str) -> str:
        """The words for a login that can't be loaded, or whose plugin has failed."""
        user = f"kubeconfig {self.paths}: user {self.user}"
        if self.plugin is None:
            return f"{user} can't log in: {_shown(why)}; {_REMEDY}"
        return (
            f"{user} logs in by the command {_shown(self.plugin)}, which failed: {_shown(why)}; run it by hand, and "
            "log in again if it says so"
        )


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, alias_generator=lambda name: name.replace("_", "-"))


class _Cluster(_Part):
    server: str = Field(min_length=1)
    proxy_url: str | None = None
    insecure_skip_tls_verify: bool = False
    tls_server_name: str | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None

    @field_validator("server", "proxy_url")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        from urllib3.exceptions import LocationParseError
        from urllib3.util import parse_url

        if not address:
            return address
        try:
            url = parse_url(address)
        except LocationParseError:
            raise ValueError("it is no URL") from None
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError("it should begin with https:// or http:// and name a host")
        if url.auth:
            raise ValueError("it holds a user or a password, which would not be sent; take them out")
        return address


class _Variable(_Part):
    name: str
    value: str


class _Plugin(BaseModel):
    model_config = ConfigDict(strict=True)

    api_version: str = Field(alias="apiVersion")
    command: str = Field(min_length=1)
    args: list[str] | None = None
    env: list[_Variable] | None = None


class _Provider(_Part):
    name: str
    config: dict[str, Any] | None = None


class _User(_Part):
    token: str | None = None
    token_file: str | None = Field(None, alias="tokenFile")
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    exec: _Plugin | None = None
    auth_provider: _Provider | None = None


class _Context(_Part):
    cluster: str
    user: str | None = None
    namespace: str | None = None


class _NamedCluster(_Part):
    name: str
    cluster: _Cluster


class _NamedUser(_Part):
    name: str
    user: _User | None = None


class _NamedContext(_Part):
    name: str
    context: _Context


class _Kubeconfig(_Part):
    current_context: str | None = None
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None
    contexts: list[_NamedContext] | None = None


def read_access(kubeconfig: str | None, context: str | None) -> Access:
    """Which login and which namespace a context means; without one, the current context. Of several files the first
    that names one decides, as for kubectl; the package would take the last. Raises SpecError."""
    paths = kubeconfig or os.environ.get("KUBECONFIG") or DEFAULT
    parts = [os.path.expanduser(part) for part in paths.split(os.pathsep) if part]
    files = [Path(part) for part in parts if os.path.exists(part)]  # as Path.exists, but false for what is no path
    if not files:
        raise SpecError(
            f"no cluster can be reached: there is no kubeconfig {paths}; name one with --kubeconfig FILE or KUBECONFIG"
        )
    configs = [_read(path) for path in files]
    wanted = context or next((config.current_context for config in configs if config.current_context), None)
    if not wanted:
        raise SpecError(f"kubeconfig {paths}: it has no current context; name one with --context")
    chosen = _named(wanted, (config.contexts for config in configs), "context", paths).context
    _named(chosen.cluster, (config.clusters for config in configs), "cluster", paths)
    user = _named(chosen.user, (config.users for config in configs), "user", paths).user if chosen.user else None
    if user and user.auth_provider and (remedy := _OLD_LOGINS.get(user.auth_provider.name)):
        raise SpecError(
            f"the kubeconfig's user {chosen.user} logs in by the auth provider {user.auth_provider.name}, which "
            f"Kubernetes 1.26 removed; {remedy}"
        )
    plugin = user.exec.command if user and user.exec else None
    return Access(paths, wanted, chosen.user or "", chosen.namespace or None, plugin)


def _shown(words: str) -> str:
    return printable(redact(words))


class _Entry(Protocol):
    name: str


_Named = TypeVar("_Named", bound=_Entry)


def _named(name: str, lists: Iterable[list[_Named] | None], what: str, paths: str) -> _Named:
    """The first of that name, as kubectl merges several files."""
    found = next((each for entries in lists for each in entries or () if each.name == name), None)
    if found is None:
        raise SpecError(f"kubeconfig {paths}: there is no {what} {_shown(name)}; {_REMEDY}")
    return found


def _read(path: Path) -> _Kubeconfig:
    import yaml

    try:
        return _Kubeconfig.model_validate(yaml.safe_load(read_text_file(path)))
    except ValidationError as error:  # its own text would quote a login
        problem = error.errors(include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"]) or "document"
        why = f"{_shown(field)}: {problem['msg'].removeprefix('Value error, ').removeprefix('Input ')}"
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = f"it is not YAML{f', in line {mark.line + 1}' if mark else ''}"
    except RecursionError:
        why = "it is nested too deeply"
    except ValueError as error:
        why = str(error)
    raise SpecError(f"kubeconfig {path}: {why}; {_REMEDY}")
