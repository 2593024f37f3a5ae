"""The flags that say how a cluster is reached and what its Jobs look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

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


def access_options(command: _Command) -> _Command:
    """Add the flags that say which cluster; they come as ``kubeconfig``, ``context`` and ``namespace``."""
    for option in reversed(_ACCESS):
        command = option(command)
    return command


def job_options(command: _Command) -> _Command:
    """Add the flags that say what Jobs look like, for ``given_flags``."""
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


def given_flags(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the cluster's flags that were given."""
    return {name: options[name] for name in CLUSTER_FLAGS if options.get(name) not in (None, ())}
