"""What a user can choose about the cluster. The chart's values, the flags and the Job builder read this one model."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from atb.errors import SpecError
from atb.redaction import looks_like_secret
from launcher.kubernetes.api.quantity import QUANTITY, parse_quantity

DAY = 86_400

_DNS = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

DnsName = Annotated[str, Field(pattern=rf"^{_DNS}$", max_length=253)]
Quantity = Annotated[
    str, Field(json_schema_extra={"pattern": f"^({QUANTITY.pattern})$"}, examples=["500m", "2", "8Gi"])
]


class ClusterOptions(BaseModel):
    """How the Jobs of a run look and how long they may take. Holds no secret: those are referred to by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    image: str = Field(
        min_length=1,
        pattern=r"^\S+$",
        description="The trainer's image, best by digest (name@sha256:…), so that every attempt runs the same code.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the kubelet pulls the image."
    )
    image_pull_secrets: tuple[DnsName, ...] = Field((), description="Names of Secrets that hold registry credentials.")
    namespace: DnsName | None = Field(None, description="Where the Jobs go; the kubeconfig's namespace by default.")
    service_account: DnsName | None = Field(
        None, description="The Pods' service account, for cloud identities. Its token is not mounted."
    )
    cpu: Quantity = Field("2", description="CPU request of a job. There is no CPU limit, so idle cores are used.")
    memory: Quantity = Field("8Gi", description="Memory request and limit of a job's first attempt.")
    max_memory: Quantity = Field(
        "32Gi", description="How far the memory may grow, by half each time, after an attempt ran out of it."
    )
    gpus: Annotated[int, Field(ge=0, le=16)] = Field(1, description="GPUs of a job; 0 trains on the CPU.")
    gpu_resource: str = Field(
        "nvidia.com/gpu",
        pattern=rf"^{_DNS}/[A-Za-z0-9]([A-Za-z0-9._-]{{0,61}}[A-Za-z0-9])?$",
        description="The extended resource that a GPU, or a slice of one, is asked for by.",
    )
    require_gpu: bool = Field(
        True,
        description="A job that asked for GPUs ends with exit 21 where TensorFlow sees fewer. False, for trials: "
        "it then trains on the CPU.",
    )
    node_selector: dict[str, str] = Field({}, description="Labels a node must have.")
    tolerations: tuple[dict[str, Any], ...] = Field(
        (), description="Tolerations besides the one for the GPU's taint, which is there whenever gpus > 0."
    )
    affinity: dict[str, Any] = Field({}, description="The Pods' affinity, as Kubernetes has it.")
    runtime_class: DnsName | None = Field(None, description="The Pods' runtime class, such as nvidia.")
    priority_class: DnsName | None = Field(None, description="The Pods' priority class.")
    queue: DnsName | None = Field(
        None, description="A Kueue LocalQueue. Jobs are then created suspended and wait for their admission."
    )
    env: dict[str, str] = Field(
        {}, description="Plain environment variables. Values that look like secrets are refused."
    )
    env_from_secrets: tuple[DnsName, ...] = Field(
        (), description="Secrets whose keys become environment variables: the store's and the exchange's credentials."
    )
    env_from_config_maps: tuple[DnsName, ...] = Field(
        (), description="ConfigMaps whose keys become environment variables."
    )
    labels: dict[str, str] = Field({}, description="Labels added to the Jobs and Pods.")
    annotations: dict[str, str] = Field({}, description="Annotations added to the Jobs and Pods.")
    run_as_user: Annotated[int, Field(ge=1)] | None = Field(
        10001, description="The numeric user in the Pod; null leaves it to the image, which must then be non-root."
    )
    scratch_size: Quantity = Field("10Gi", description="Size limit of the writable scratch volume of a Pod.")
    deadline_seconds: Annotated[int, Field(ge=60)] = Field(
        DAY, description="How long one job may take from its start, retries included."
    )
    ttl_seconds: Annotated[int, Field(ge=DAY)] = Field(
        7 * DAY, description="How long a finished Job stays in the cluster; at least a day."
    )
    termination_grace_seconds: Annotated[int, Field(ge=5, le=3600)] = Field(
        120, description="How long a Pod that is told to stop has for its checkpoint."
    )
    backoff_limit: Annotated[int, Field(ge=0, le=10)] = Field(
        3, description="How many failures that may pass are tried again. Interruptions and memory are counted apart."
    )
    oom_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        3, description="How many times a job that ran out of memory is tried again with half as much more."
    )
    infrastructure_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        2, description="How many times a job that a node failed is tried again elsewhere."
    )
    schedule_seconds: Annotated[int, Field(ge=10)] = Field(
        3600, description="How long a job may wait for a node, a quota or its queue before it is given up."
    )
    start_seconds: Annotated[int, Field(ge=10)] = Field(
        900, description="How long a Pod that has a node may take to start: volumes, configuration, the image."
    )
    max_parallel: Annotated[int, Field(ge=1)] | None = Field(
        None, description="At most this many Jobs of a run exist at a time; null creates all of them at once."
    )
    create_rate: Annotated[float, Field(gt=0, le=10_000)] = Field(
        50.0, description="At most this many creations a second are sent to the API server."
    )

    @field_validator("cpu", "memory", "max_memory", "scratch_size")
    @classmethod
    def _is_a_positive_quantity(cls, text: str) -> str:
        try:
            amount = parse_quantity(text)
        except SpecError as error:
            raise ValueError(str(error)) from None
        if amount <= 0:
            raise ValueError(f"{text!r} is not above zero")
        return text

    @field_validator("env")
    @classmethod
    def _names_are_names_and_values_no_secrets(cls, env: dict[str, str]) -> dict[str, str]:
        for name, value in env.items():
            if not _ENV_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of an environment variable")
            if looks_like_secret(name, value):
                raise ValueError(
                    f"the value of {name} looks like a secret; put it in a Secret (kubectl create secret generic NAME "
                    f"--from-env-file=FILE) and pass --env-from-secret NAME"
                )
        return env

    @model_validator(mode="after")
    def _memory_fits(self) -> Self:
        if parse_quantity(self.memory) > parse_quantity(self.max_memory):
            raise ValueError(f"memory {self.memory} is above max_memory {self.max_memory}")
        return self

    @property
    def image_is_pinned(self) -> bool:
        """Whether the image is named by digest."""
        return "@sha256:" in self.image
