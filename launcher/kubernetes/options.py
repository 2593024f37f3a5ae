"""What a user can choose about the cluster. The chart's values, the flags and the Job builder read this one model."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from atb.contract.options import Options
from atb.redaction import holds_secret
from atb.schema import Option
from launcher.kubernetes.api.quantity import parse_quantity
from launcher.kubernetes.native_parts import Affinity, PodPatch
from launcher.kubernetes.option_kinds import (
    DNS,
    KEY,
    LABEL,
    Annotations,
    DnsName,
    Env,
    EnvPlain,
    ImageName,
    Labels,
    NamespaceName,
    Quantity,
    QueueName,
    Resources,
    Size,
    Tolerations,
)

DAY = 86_400
SLOTS_PER_GPU = 4
"""Trainings that share a GPU by default: each holds a CUDA context and needs a core."""

_NodeLoss = Annotated[int, Field(ge=5, le=3600)]
_CLUSTER, _JOB, _POD, _LIMITS = (
    functools.partial(Option, heading) for heading in ("Cluster", "Jobs", "Pods", "Time and retries")
)


class AccessOptions(Options):
    """Which cluster, and what its Jobs begin with."""

    kubeconfig: Annotated[
        str | None,
        Field(description="The kubeconfig. [default: as kubectl finds it]"),
        _CLUSTER("FILE"),
    ] = None
    context: Annotated[str | None, Field(description="A context of the kubeconfig."), _CLUSTER("NAME")] = None
    cluster_options: Annotated[
        str | None,
        Field(description="A YAML file with any of the cluster's options; flags override it."),
        _CLUSTER("FILE"),
    ] = None


class ClusterOptions(BaseModel):
    """How the Jobs of a run look and how long they may take. Holds no secret: those are referred to by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    image: Annotated[ImageName, _JOB("NAME@sha256:…")] = Field(
        description="The trainer's image, best by digest (name@sha256:…), so that every attempt runs the same code.",
    )
    image_pull_policy: Annotated[Literal["Always", "IfNotPresent", "Never"], _JOB()] = Field(
        "IfNotPresent", description="When the kubelet pulls the image."
    )
    image_pull_secrets: Annotated[tuple[DnsName, ...], _JOB("NAME", flag="--image-pull-secret")] = Field(
        (), description="Names of Secrets that hold registry credentials."
    )
    namespace: Annotated[NamespaceName | None, _CLUSTER("NAME")] = Field(
        None, description="Where the Jobs go; the kubeconfig's namespace by default."
    )
    service_account: Annotated[DnsName | None, _POD("NAME")] = Field(
        None, description="The Pods' service account, for cloud identities. Its token is not mounted."
    )
    workers: Annotated[Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] | None, _JOB("N|auto")] = Field(
        None,
        description="Pods that take jobs from the plan until none is left, instead of one Job each; auto: as many "
        "as fit now. CPU, memory and GPUs then apply to a worker.",
    )
    slots: Annotated[Annotated[int, Field(ge=1, le=256)] | None, _JOB("K")] = Field(
        None, description="Trainings at a time in a worker. [default: one for each CPU requested, at most 4 per GPU]"
    )
    compile_cache: Annotated[DnsName | None, _POD("CLAIM")] = Field(
        None,
        description="A PersistentVolumeClaim that keeps the code that XLA compiled, for later workers. It must be "
        "ReadWriteMany if workers run on several nodes.",
    )
    cpu: Annotated[Quantity, _JOB("N")] = Field(
        "2", description="CPU request of a job. There is no CPU limit, so idle cores are used."
    )
    memory: Annotated[Size, _JOB("SIZE")] = Field(
        "8Gi", description="Memory request and limit of a job's first attempt."
    )
    max_memory: Annotated[Size, _JOB("SIZE")] = Field(
        "32Gi", description="How far the memory may grow, by half each time an attempt runs out of it."
    )
    gpus: Annotated[Annotated[int, Field(ge=0, le=16)], _JOB("N")] = Field(
        1, description="GPUs of a job; 0 trains on the CPU."
    )
    gpu_resource: Annotated[str, _JOB("NAME")] = Field(
        "nvidia.com/gpu",
        pattern=rf"^{DNS}/{LABEL}$",
        description="The extended resource that requests a GPU, or a slice of one.",
    )
    require_gpu: Annotated[bool, _JOB()] = Field(
        True,
        description="A job that requested GPUs ends with exit 21 if TensorFlow finds fewer. If off, for "
        "trials, it trains on those it finds, or on the CPU.",
    )
    resources: Annotated[Resources, _POD("NAME=N", flag="--resource")] = Field(
        {},
        description="More resources of a Pod, requested and limited, such as rdma/hca=1.",
    )
    resource_claim_template: Annotated[DnsName | None, _POD("NAME")] = Field(
        None, description="A ResourceClaimTemplate: each Pod gets a claim made from it (dynamic resource allocation)."
    )
    node_selector: Annotated[Labels, _POD("KEY=VALUE")] = Field({}, description="Labels a node must have.")
    spot: Annotated[str | None, _POD("KEY=VALUE")] = Field(
        None,
        pattern=rf"^{KEY}={LABEL}$",
        description="The label of spot nodes, such as karpenter.sh/capacity-type=spot: jobs run on those alone.",
    )
    on_demand_after: Annotated[Annotated[int, Field(ge=1, le=100)] | None, _POD("N")] = Field(
        None,
        description="A job continues on nodes without the label of spot once it was interrupted this many times, or "
        "found no spot node in time.",
    )
    tolerations: Annotated[Tolerations, _POD("KEY[=VALUE][:EFFECT]", flag="--toleration")] = Field(
        (), description="Tolerations besides the one for the GPU's taint, which is there whenever gpus > 0."
    )
    nodes_may_come: Annotated[bool, _POD()] = Field(
        False,
        description="Nodes that fit may be added later, as by an autoscaler: if none fits now, warn and don't fail.",
    )
    affinity: Annotated[Affinity, _POD(flag=None)] = Field(
        {}, description="The Pods' affinity, in Kubernetes' own form."
    )
    runtime_class: Annotated[DnsName | None, _POD("NAME")] = Field(
        None, description="The Pods' runtime class, such as nvidia."
    )
    priority_class: Annotated[DnsName | None, _POD("NAME")] = Field(None, description="The Pods' priority class.")
    queue: Annotated[QueueName | None, _JOB("NAME")] = Field(
        None, description="A Kueue LocalQueue. Jobs are then created suspended and wait for their admission."
    )
    workload_priority: Annotated[QueueName | None, _JOB("NAME")] = Field(
        None, description="A Kueue WorkloadPriorityClass: which Jobs its queue admits first."
    )
    env: Annotated[Env, _POD("NAME=VALUE")] = Field(
        {},
        description="Environment variables whose names are known to hold no secret: proxies, AWS_REGION, ATB_…, TF_…. "
        "Put others into a Secret, or into the plain ones if they hold no secret.",
    )
    env_plain: Annotated[EnvPlain, _POD("NAME=VALUE")] = Field(
        {},
        description="Environment variables of any name. Visible to anyone who can read the cluster or the run's plan.",
    )
    env_from_secrets: Annotated[tuple[DnsName, ...], _POD("NAME", flag="--env-from-secret")] = Field(
        (), description="Secrets whose keys become environment variables: the store's and the exchange's credentials."
    )
    env_from_config_maps: Annotated[tuple[DnsName, ...], _POD("NAME", flag="--env-from-config-map")] = Field(
        (), description="ConfigMaps whose keys become environment variables."
    )
    labels: Annotated[Labels, _POD("KEY=VALUE", flag="--label")] = Field(
        {}, description="Labels added to the Jobs and Pods."
    )
    annotations: Annotated[Annotations, _POD("KEY=VALUE", flag="--annotation")] = Field(
        {}, description="Annotations added to the Jobs and Pods."
    )
    pod_patch: Annotated[PodPatch, _POD(flag=None)] = Field(
        {},
        description="A strategic merge patch of the Jobs' Pod template, for what no other option sets: extra volumes, "
        "sidecars, topology. Labels, annotations and the restart policy that the launcher needs stay.",
    )
    run_as_user: Annotated[Annotated[int, Field(ge=1, lt=2**31)] | None, _POD("UID")] = Field(
        10001, description="The numeric user in the Pod; null leaves it to the image, which must then be non-root."
    )
    share_process_namespace: Annotated[bool, _POD()] = Field(
        True,
        description="Our process is then never process 1, to which the kernel drops a SIGTERM while it starts. Off "
        "where a policy forbids it: a Pod deleted in its first second may run until its grace period is over.",
    )
    scratch_size: Annotated[Size, _POD("SIZE")] = Field(
        "10Gi", description="Size limit of the writable scratch volume of a Pod."
    )
    deadline_seconds: Annotated[Annotated[int, Field(ge=60, lt=2**31)], _LIMITS("TIME", flag="--deadline")] = Field(
        DAY, description="How long one job may take from its start, retries included."
    )
    keep_jobs: Annotated[bool, _JOB()] = Field(
        False,
        description="Jobs that are done stay until their TTL, for kubectl logs. Otherwise they are deleted once their "
        "result and log are in the store, so that they don't fill a quota on objects; Jobs that failed stay.",
    )
    ttl_seconds: Annotated[Annotated[int, Field(ge=60, lt=2**31)], _LIMITS("TIME", flag="--ttl")] = Field(
        7 * DAY, description="How long a finished Job stays in the cluster; at least a minute."
    )
    termination_grace_seconds: Annotated[
        Annotated[int, Field(ge=5, le=3600)], _LIMITS("TIME", flag="--termination-grace")
    ] = Field(120, description="How long a Pod has to save its checkpoint when it is stopped.")
    backoff_limit: Annotated[Annotated[int, Field(ge=0, le=10)], _LIMITS("N")] = Field(
        3, description="How many transient failures are retried. Interruptions and memory are counted separately."
    )
    oom_retries: Annotated[Annotated[int, Field(ge=0, le=10)], _LIMITS("N")] = Field(
        3, description="How many times a job that ran out of memory is retried with 50 % more."
    )
    infrastructure_retries: Annotated[Annotated[int, Field(ge=0, le=10)], _LIMITS("N")] = Field(
        2, description="How many times a job is retried on another node after its node failed."
    )
    schedule_seconds: Annotated[Annotated[int, Field(ge=10, lt=2**31)], _LIMITS("TIME", flag="--schedule-timeout")] = (
        Field(3600, description="How long a job may wait for a node, a quota or its queue before it is given up.")
    )
    start_seconds: Annotated[Annotated[int, Field(ge=10, lt=2**31)], _LIMITS("TIME", flag="--start-timeout")] = Field(
        900, description="How long a Pod may take to start once it has a node: volumes, configuration, the image."
    )
    node_loss_seconds: Annotated[_NodeLoss | None, _LIMITS("TIME", flag="--node-loss")] = Field(
        None,
        description="How long a node may be unreachable before its Pods are retried elsewhere; by default the cluster "
        "decides, after about 5 minutes.",
    )
    max_parallel: Annotated[int, Field(ge=1, lt=2**31)] | None = Field(
        None,
        description="At most this many Jobs of a run exist at a time, apart from those that failed or are kept; null "
        "creates all of them at once.",
    )
    create_rate: Annotated[Annotated[float, Field(ge=0.01, le=10_000)], _LIMITS("N")] = Field(
        50.0, description="At most this many objects per second are created on the API server."
    )

    @field_validator("*")
    @classmethod
    def _holds_no_secret(cls, value: Any) -> Any:
        parts = [value]
        while parts:
            part = parts.pop()
            if isinstance(part, str) and holds_secret(part):
                raise ValueError(
                    "it looks like a secret, which whoever may read the Jobs or the run's plan could read; name a "
                    "Secret (--env-from-secret, --image-pull-secret)"
                )
            parts += part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
        return value

    @field_validator("cpu")
    @classmethod
    def _is_a_positive_quantity(cls, text: str) -> str:
        if parse_quantity(text) <= 0:
            raise ValueError(f"{text!r} is not above zero")
        return text

    @model_validator(mode="after")
    def _slots_are_those_of_workers(self) -> Self:
        if self.slots and self.workers is None:
            raise ValueError("slots are those of workers: give workers too, or leave slots out")
        if self.compile_cache and self.workers is None:
            raise ValueError("compile_cache is for workers, whose trainings share compiled code: give workers too")
        if self.workers is not None and self.max_parallel is not None:
            raise ValueError("max_parallel is for Jobs of their own: workers times slots is how many train at a time")
        return self

    @model_validator(mode="after")
    def _spot_nodes_are_named(self) -> Self:
        if self.on_demand_after is not None and self.spot is None:
            raise ValueError("on_demand_after needs spot: the label that spot nodes have")
        if self.on_demand_after is not None and self.workers is not None:
            raise ValueError("on_demand_after is for Jobs of their own: a packed run moves on to other workers")
        if self.spot is not None and self.spot.partition("=")[0] in self.node_selector:
            raise ValueError(f"node_selector and spot both name {self.spot.partition('=')[0]}")
        return self

    @model_validator(mode="after")
    def _memory_fits(self) -> Self:
        if parse_quantity(self.memory) > parse_quantity(self.max_memory):
            raise ValueError(f"memory {self.memory} is above max_memory {self.max_memory}")
        return self

    @property
    def spot_label(self) -> dict[str, str]:
        """The label of spot nodes as a selector; empty where none is named."""
        name, _, value = (self.spot or "").partition("=")
        return {name: value} if name else {}

    @property
    def worker_slots(self) -> int:
        """Trainings at a time in a worker."""
        cores = max(1, int(parse_quantity(self.cpu)))
        return self.slots or (min(cores, SLOTS_PER_GPU * self.gpus) if self.gpus else cores)

    @property
    def image_is_pinned(self) -> bool:
        """Whether the image is named by digest."""
        return "@sha256:" in self.image
