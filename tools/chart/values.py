"""What a user can choose about an installation. The part about Jobs is the launcher's own model of them.

The order of fields is the order of values.yaml, and a field's description is its comment there.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

from atb.contract.presets import DEFAULT_PRESET, PresetName
from atb.contract.runs import DEFAULT_FDR
from atb.contract.spec import OPTION_NAMES, Spec
from launcher.kubernetes.api.quantity import QUANTITY
from launcher.kubernetes.option_kinds import (
    DNS,
    ENV_PLAIN_SCHEMA,
    ENV_SCHEMA,
    IMAGE_NAME,
    Annotations,
    DnsName,
    Labels,
    Quantity,
    Tolerations,
)
from launcher.kubernetes.options import ClusterOptions

CHART_DECIDES = ("image", "image_pull_policy", "image_pull_secrets", "namespace", "service_account")
"""Options of a Job that follow from other values."""

NOT_TO_SET = ("as_of", "end", "start", "source")
"""Options of a training that a schedule decides by its time, or has a value of its own for."""

Text = Annotated[str, Field(max_length=1024)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=52)]
ObjectName = Annotated[str, Field(pattern=rf"^({DNS})?$", max_length=253)]
Symbol = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9/:._-]{0,62}$")]
Cron = Annotated[str, Field(pattern=r"^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)|\S+( \S+){4})$")]
TimeZone = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$", json_schema_extra={"not": {"const": "Local"}})
]
_AMOUNT: JsonDict = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": f"^({QUANTITY.pattern})$"}]
}
_AMOUNTS: JsonDict = {"type": "object", "additionalProperties": _AMOUNT}
Amounts = Annotated[dict[str, str | int], Field(json_schema_extra=_AMOUNTS)]
PodResources = Annotated[
    dict[str, Amounts],
    Field(json_schema_extra={"properties": {"requests": _AMOUNTS, "limits": _AMOUNTS}, "additionalProperties": False}),
]


def _overrides() -> dict[str, Any]:
    spec = Spec.model_json_schema()["properties"]
    known: dict[str, Any] = {"days": {"type": "number", "exclusiveMinimum": 0, "maximum": 36_500}, **spec}
    names = [name for name in OPTION_NAMES if name not in NOT_TO_SET]
    properties = {name: {key: known[name][key] for key in known[name] if key != "default"} for name in names}
    return {"properties": properties, "additionalProperties": False}


class Section(BaseModel):
    """A part of the values: camelCase keys, and no others."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", validate_by_name=True, validate_by_alias=True)


class Image(Section):
    """An image by name, tag and digest."""

    repository: str = Field(pattern=rf"^{IMAGE_NAME}$", description="The image's name, without tag or digest.")
    tag: str = Field("", pattern=r"^([\w][\w.-]{0,127})?$", description="Its tag; the chart's appVersion when empty.")
    digest: str = Field("", pattern=r"^(sha256:[0-9a-f]{64})?$", description="Its digest, which beats the tag.")
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        "IfNotPresent", description="When the kubelet pulls it."
    )


class ServiceAccount(Section):
    """An identity in the cluster and, by annotation, at a cloud."""

    create: bool = Field(True, description="Create it. Otherwise it must exist.")
    name: ObjectName = Field("", description="Its name; made from the release's when empty.")
    annotations: Annotations = Field(
        {}, description="Annotations, such as eks.amazonaws.com/role-arn. EKS Pod Identity needs none."
    )


class Store(Section):
    """The object store of bars, models and results."""

    url: str = Field(
        "s3://atb", pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/\S*)?$", description="Bucket and prefix: s3://bucket/prefix."
    )
    endpoint_url: str = Field(
        "",
        pattern=r"^(https?://([^\s/@]+/?|[^\s/]*@\S*))?$",  # helm quotes what a pattern refuses: a template refuses @
        description="The URL of an S3-compatible server; empty for AWS.",
    )
    region: str = Field("", pattern=r"^[a-z0-9-]*$", description="The bucket's region; empty for the SDK's default.")
    secret: ObjectName = Field(
        "",
        description="Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Empty if the service accounts have "
        "an identity of their own (IRSA, EKS Pod Identity, workload identity).",
    )


class Launcher(Section):
    """The Pod of a schedule, which creates the Jobs and follows them."""

    image: Image = Field(Image(repository="atb-launcher"), description="Its image.")
    service_account: ServiceAccount = Field(
        ServiceAccount(), description="Its identity: may create and watch Jobs in the release's namespace."
    )
    cluster_role: bool = Field(
        False,
        description="Also let it read nodes, its namespace, priority and runtime classes and Kueue's ClusterQueues, so "
        "that its preflight can detect what can never run.",
    )
    resources: PodResources = Field(
        {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        description="Its requests and limits.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="json: one event per line, as in the trainings' logs."
    )
    scratch_size: Quantity = Field("256Mi", description="Size limit of its writable volume at /tmp.")
    env: dict[str, str] = Field(
        {},
        description="Environment variables whose names are known to hold no secret, such as a proxy's.",
        json_schema_extra=ENV_SCHEMA,
    )
    env_plain: dict[str, str] = Field(
        {},
        description="Environment variables of any name. Their values are readable in the cluster.",
        json_schema_extra=ENV_PLAIN_SCHEMA,
    )
    env_from_secrets: list[DnsName] = Field([], description="Secrets whose keys become environment variables.")
    node_selector: Labels = Field({}, description="Labels its node must have.")
    tolerations: Tolerations = Field((), description="Taints it tolerates.")
    priority_class: ObjectName = Field("", description="Its priority class.")
    labels: Labels = Field({}, description="Labels added to its Pods.")
    annotations: Annotations = Field({}, description="Annotations added to its Pods.")


class Trainer(Section):
    """The Pods that train."""

    image: Image = Field(Image(repository="atb-trainer"), description="Their image.")
    service_account: ServiceAccount = Field(
        ServiceAccount(), description="Their identity: no rights in the cluster, and no token in the Pod."
    )


class ScheduleDefaults(Section):
    """What every schedule has unless it says otherwise."""

    time_zone: TimeZone = Field("Etc/UTC", description="The cron expression's time zone.")
    presets: list[PresetName] = Field([DEFAULT_PRESET], min_length=1, description="Presets to train each symbol with.")
    source: str = Field(
        "binance",
        pattern=r"^(binance|sample|files:\S+|ccxt:[a-z0-9]+)$",
        description="Where bars come from: binance, ccxt:EXCHANGE, files:PATH or sample.",
    )
    set: dict[str, str | int | float | bool] = Field(
        {},
        description="Overrides of the presets' numbers, as for atb-launch --set.",
        json_schema_extra=_overrides(),
    )
    workers: Annotated[int, Field(ge=1, le=1000)] | Literal["auto"] | None = Field(
        None, description="Overrides jobs.workers."
    )
    slots: Annotated[int, Field(ge=1, le=256)] | None = Field(None, description="Overrides jobs.slots.")
    promote: Literal["auto", "manual"] = Field(
        "manual", description="auto promotes each model that passes the gate; manual leaves promotion to you."
    )
    accept_first: bool = Field(
        False, description="With promote auto: a first model, with no champion to beat, need not have shown skill."
    )
    fdr: Annotated[float, Field(gt=0, lt=1)] = Field(
        DEFAULT_FDR,
        description="False-discovery rate: the accepted share of a run's promoted models that know nothing.",
    )
    demotion: Literal["off", "warn", "auto"] = Field(
        "warn",
        description="What to do with a champion whose live record is behind its bar: warn names it, auto demotes it.",
    )
    suspend: bool = Field(False, description="Keep the schedule but don't fire it.")
    deadline_seconds: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0,
        description="How long the launcher may follow a run; must be below the schedule's period. 0 takes nine tenths "
        "of the period.",
    )
    starting_deadline_seconds: Annotated[int, Field(ge=10, lt=2**31)] = Field(
        600, description="How late a run may start, after the control plane was down, before it is skipped."
    )
    successful_jobs_history_limit: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        3, description="How many finished launcher Jobs are kept."
    )
    failed_jobs_history_limit: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        5, description="How many failed launcher Jobs are kept."
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        3, description="How many times a failed launcher is restarted; it continues the same run."
    )


_jobs: dict[str, Any] = {
    name: (info.annotation, info) for name, info in ClusterOptions.model_fields.items() if name not in CHART_DECIDES
}
Jobs = create_model("Jobs", __base__=Section, __doc__="The Jobs that train, one for each symbol and preset.", **_jobs)


def _jobs_of_one_schedule() -> dict[str, Any]:
    properties = Jobs.model_json_schema(by_alias=True)["properties"]
    own = {to_camel(name) for name in ScheduleDefaults.model_fields}
    parts = {name: {key: value for key, value in each.items() if key != "default"} for name, each in properties.items()}
    return {
        "properties": {name: {"anyOf": [each, {"type": "null"}]} for name, each in parts.items() if name not in own},
        "additionalProperties": False,
    }


class Schedule(ScheduleDefaults):
    """One CronJob: these symbols, at these times. What it leaves out comes from scheduleDefaults."""

    name: Label = Field(description="Its name, part of the names of the CronJob and the runs.")
    cron: Cron = Field(description="When: five fields, or @hourly, @daily, @weekly, @monthly, @yearly.")
    symbols: list[Symbol] = Field(min_length=1, description="What to train.")
    jobs: dict[str, Any] = Field(
        {},
        description="Overrides of jobs for this schedule alone, such as {memory: 16Gi, queue: nightly}; null takes the "
        "default. Workers and slots are keys of the schedule itself.",
        json_schema_extra=_jobs_of_one_schedule(),
    )


class Predictions(Section):
    """One CronJob that writes each champion's forecast to the store, as signals/…/TIME.json: see docs/models.md."""

    enabled: bool = Field(False, description="Create the CronJob.")
    cron: Cron = Field("1 * * * *", description="When: shortly after bars close.")
    time_zone: TimeZone = Field("Etc/UTC", description="The cron expression's time zone.")
    symbols: list[Symbol] = Field([], description="Whose champions forecast; all when empty.")
    suspend: bool = Field(False, description="Keep the CronJob but don't fire it.")
    deadline_seconds: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0, description="How long one may take; must be below the period. 0 takes nine tenths of the period."
    )
    starting_deadline_seconds: Annotated[int, Field(ge=10, lt=2**31)] = Field(
        600, description="How late one may start, after the control plane was down, before it is skipped."
    )
    retries: Annotated[int, Field(ge=0, le=10)] = Field(
        4, description="How many times it is tried again when bars are not there yet, or the store does not answer."
    )
    resources: PodResources = Field(
        {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        description="Its requests and limits.",
    )
    scratch_size: Quantity = Field("256Mi", description="Size limit of its writable volume at /tmp.")
    node_selector: Labels = Field({}, description="Labels its node must have.")
    tolerations: Tolerations = Field((), description="Taints it tolerates.")
    priority_class: ObjectName = Field("", description="Its priority class.")


class NetworkPolicy(Section):
    """Who may talk to whom: nobody to us; we to DNS, to the store and exchange, and the launcher to the API server."""

    enabled: bool = Field(False, description="Create NetworkPolicies for launcher and trainers.")
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        [443],
        description="Ports of the store and the exchange, behind a Service those of its Pods; 80 for EKS Pod Identity. "
        "The port in store.endpointUrl is added.",
    )
    api_server_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        [443, 6443], description="Ports of the API server itself, behind its Service."
    )
    extra_egress: list[dict[str, Any]] = Field([], description="More egress rules for both, in Kubernetes' own form.")


class ResourceQuota(Section):
    """A bound on what the whole namespace may ask for."""

    enabled: bool = Field(False, description="Create a ResourceQuota.")
    hard: Amounts = Field({"requests.nvidia.com/gpu": "8", "count/jobs.batch": "2000"}, description="Its bounds.")


class Dashboard(Section):
    """A Grafana dashboard of the runs' metrics, as a ConfigMap for Grafana's sidecar."""

    enabled: bool = Field(False, description="Create it; its panels need metrics.pushGateway.")
    labels: Labels = Field({"grafana_dashboard": "1"}, description="Labels your Grafana finds dashboards by.")


class Metrics(Section):
    """What runs say in numbers. The store has them in any case, as runs/RUN/metrics.txt."""

    push_gateway: str = Field(
        "",
        pattern=r"^(https?://([^\s/@?#]+(/[^\s?#]*)?|[^\s/]*@\S*))?$",
        description="A Prometheus Pushgateway that gets each run's metrics; Prometheus must scrape it with "
        "honor_labels: true.",
    )
    dashboard: Dashboard = Field(Dashboard())


class PrometheusRule(Section):
    """Alerts on the age of each schedule's last success, from kube-state-metrics, and, with metrics.pushGateway, on
    what its latest run says."""

    enabled: bool = Field(False, description="Create a PrometheusRule; needs the Prometheus operator.")
    labels: Labels = Field({}, description="Labels your Prometheus selects rules by.")
    periods: Annotated[int, Field(ge=1, le=100)] = Field(
        2, description="How many periods of a schedule may pass without a success."
    )
    severity: Text = Field("warning", description="The alerts' severity label.")
    champion_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        0, description="With metrics.pushGateway: how many days a model may serve before an alert; 0 for no such alert."
    )


class AdmissionPolicy(Section):
    """A ValidatingAdmissionPolicy that the launcher's Jobs carry a memory limit, a deadline and a TTL."""

    enabled: bool = Field(False, description="Create it; needs the right to create cluster-wide objects.")
    action: Literal["Deny", "Warn", "Audit"] = Field("Deny", description="What happens to a Job that does not.")


class ImageWarmer(Section):
    """A DaemonSet that keeps the trainer's image on the GPU nodes, so that no Job waits for its download."""

    enabled: bool = Field(False, description="Create it. Its Pods sleep and request no GPU.")
    node_selector: Labels = Field(
        {"nvidia.com/gpu.present": "true"},
        description="Labels a node must have besides those of jobs.nodeSelector. NVIDIA's GPU feature discovery sets "
        "the default one.",
    )
    resources: PodResources = Field(
        {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}},
        description="Requests and limits of a Pod.",
    )


class Test(Section):
    """What helm test runs: atb doctor in both images, with the store and, for the trainer, a small training."""

    enabled: bool = Field(True, description="Create the test Pods.")
    deadline_seconds: Annotated[int, Field(ge=30, lt=2**31)] = Field(
        900, description="How long a test Pod may take, image pull included."
    )


class Values(Section):
    """All of values.yaml."""

    name_override: Text = Field("", description="Replaces the chart's name in the objects' names.")
    fullname_override: Text = Field("", description="Replaces release and chart in the objects' names.")
    image_pull_secrets: list[DnsName] = Field(
        [], description="Names of Secrets with registry credentials, for launcher and trainers."
    )
    store: Store = Field(Store())
    launcher: Launcher = Field(Launcher())
    trainer: Trainer = Field(Trainer())
    jobs: Jobs = Field(Jobs())
    schedule_defaults: ScheduleDefaults = Field(ScheduleDefaults())
    schedules: list[Schedule] = Field(
        [],
        description="Retraining schedules, one CronJob each: name, cron and symbols, and anything of scheduleDefaults. "
        "For example: [{name: daily, cron: '15 0 * * *', symbols: [BTCUSDT, ETHUSDT], presets: [balanced]}]",
    )
    predictions: Predictions = Field(Predictions())
    network_policy: NetworkPolicy = Field(NetworkPolicy())
    resource_quota: ResourceQuota = Field(ResourceQuota())
    metrics: Metrics = Field(Metrics())
    prometheus_rule: PrometheusRule = Field(PrometheusRule())
    admission_policy: AdmissionPolicy = Field(AdmissionPolicy())
    image_warmer: ImageWarmer = Field(ImageWarmer())
    test: Test = Field(Test())
