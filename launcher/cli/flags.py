"""The flags that say how a cluster is reached and what its Jobs look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from atb.errors import SpecError

if TYPE_CHECKING:
    from launcher.kubernetes.backend import Access
    from launcher.kubernetes.options import ClusterOptions

_Command = TypeVar("_Command", bound=Callable[..., Any])

_ACCESS = (
    click.option("--kubeconfig", metavar="FILE", help="The way into the cluster.  [default: as kubectl has it]"),
    click.option("--context", metavar="NAME", help="A context of the kubeconfig."),
    click.option("--namespace", metavar="NAME", help="Where the Jobs are.  [default: the run's, or the context's]"),
)
_PLAIN: dict[str, tuple[str, str, Any]] = {
    "image": ("NAME@sha256:…", "The trainer's image.", str),
    "gpus": ("N", "GPUs of a job; 0 trains on the CPU.  [default: 1]", int),
    "gpu_resource": ("NAME", "What a GPU or a slice of one is called.  [default: nvidia.com/gpu]", str),
    "cpu": ("N", "CPU request of a job.  [default: 2]", str),
    "memory": ("SIZE", "Memory of a job's first attempt.  [default: 8Gi]", str),
    "max_memory": ("SIZE", "How far it may grow after an attempt ran out.  [default: 32Gi]", str),
    "queue": ("NAME", "A Kueue LocalQueue that the Jobs wait in.", str),
    "service_account": ("NAME", "The Pods' service account; its token is not mounted.", str),
    "priority_class": ("NAME", "The Pods' priority class.", str),
    "runtime_class": ("NAME", "The Pods' runtime class.", str),
    "scratch_size": ("SIZE", "Size of the Pods' writable volume.  [default: 10Gi]", str),
}
_MANY: dict[str, tuple[str, str, str]] = {
    "node_selector": ("--node-selector", "KEY=VALUE", "A label that nodes must have."),
    "tolerations": ("--toleration", "KEY[=VALUE][:EFFECT]", "A taint to tolerate."),
    "env": ("--env", "NAME=VALUE", "A plain environment variable; secrets are refused."),
    "env_from_secrets": ("--env-from-secret", "NAME", "A Secret whose keys become environment variables."),
    "env_from_config_maps": ("--env-from-config-map", "NAME", "The same for a ConfigMap."),
    "image_pull_secrets": ("--image-pull-secret", "NAME", "A Secret with registry credentials."),
    "labels": ("--label", "KEY=VALUE", "A label for the Jobs and Pods."),
}
_PAIRS = ("node_selector", "env", "labels")


def access_options(command: _Command) -> _Command:
    """Add the flags that say which cluster; they come as ``kubeconfig``, ``context`` and ``namespace``."""
    for option in reversed(_ACCESS):
        command = option(command)
    return command


def job_options(command: _Command) -> _Command:
    """Add the flags that say what Jobs look like, for ``read_cluster_options``."""
    decorators = [
        click.option(
            "--cluster-options",
            metavar="FILE",
            help="A YAML file with any of the cluster's options; flags beat it.",
        ),
        *(
            click.option(f"--{name.replace('_', '-')}", name, metavar=metavar, type=kind, help=text)
            for name, (metavar, text, kind) in _PLAIN.items()
        ),
        *(
            click.option(flag, name, metavar=metavar, multiple=True, help=text)
            for name, (flag, metavar, text) in _MANY.items()
        ),
        click.option(
            "--require-gpu/--no-require-gpu",
            default=None,
            help="Whether a job that finds no GPU ends, or trains on the CPU.  [default: it ends]",
        ),
        click.option("--deadline", metavar="TIME", help="How long a job may take in all, like 90m.  [default: 24h]"),
    ]
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


CLUSTER_FLAGS = (
    "kubeconfig",
    "context",
    "namespace",
    "cluster_options",
    *_PLAIN,
    *_MANY,
    "require_gpu",
    "deadline",
)
"""The names that these flags come under."""


def read_access(given: Mapping[str, Any]) -> Access:
    """The way into a cluster from the flags."""
    from launcher.kubernetes.backend import Access

    return Access(given.get("kubeconfig"), given.get("context"), given.get("namespace"))


def read_cluster_options(given: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> ClusterOptions:
    """The options of the file, then of the flags, over ``base``. Raises SpecError."""
    from launcher.kubernetes.backend import parse_options

    fields: dict[str, Any] = dict(base or {})
    if (path := given.get("cluster_options")) is not None:
        fields |= _read_file(path)
    fields |= {name: given[name] for name in (*_PLAIN, "require_gpu") if given.get(name) is not None}
    for name, (flag, _, _) in _MANY.items():
        values: Sequence[str] = given.get(name) or ()
        if not values:
            continue
        if name in _PAIRS:
            fields[name] = {**fields.get(name, {}), **dict(_pair(value, flag) for value in values)}
        elif name == "tolerations":
            fields[name] = [*fields.get(name, ()), *(_toleration(value) for value in values)]
        else:
            fields[name] = [*fields.get(name, ()), *values]
    if given.get("deadline"):
        fields["deadline_seconds"] = _seconds(given["deadline"])
    if given.get("namespace"):
        fields["namespace"] = given["namespace"]
    return parse_options(fields, "the cluster's options")


def _read_file(path: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"--cluster-options {path}: can't read the file: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"--cluster-options {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise SpecError(f"--cluster-options {path} is no YAML mapping, like image: NAME")
    return found


def _pair(text: str, flag: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise SpecError(f"{flag} {name!r} is not NAME=VALUE")
    return name, value


def _toleration(text: str) -> dict[str, str]:
    rest, _, effect = text.partition(":")
    key, equals, value = rest.partition("=")
    how = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **how, **({"effect": effect} if effect else {})}


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if text.isdigit():
        number, unit = text, "s"
    scale = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(unit)
    if scale is None or not number.isdigit():
        raise SpecError(f"--deadline {text!r} is not a number and one of s, m, h, d; write 90m or 24h")
    return int(number) * scale
