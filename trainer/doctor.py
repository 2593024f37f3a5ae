"""What this machine can do: libraries, machine, scratch, device, a real training of one epoch, store and clock.

Each ``check_*`` returns one HealthCheck and never raises; the worst one decides how ``atb doctor`` exits.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import util
from pathlib import Path

from atb.code import code_identity
from atb.errors import AtbError, NoAccelerator, SpecError, StoreError
from atb.machine import cpu_quota, memory_limit
from atb.plugins import list_plugins
from atb.storage import MemoryStore, Store
from atb.storage.probe import probe_store
from trainer.log import capture_stderr
from trainer.process_memory import gc_frozen

CLOCK_TOLERANCE = timedelta(seconds=60)
"""S3 refuses signatures 15 minutes off; a minute off already cuts the data at the wrong bar."""

SAMPLE_AS_OF = "2026-01-01"

_CGROUP = Path("/sys/fs/cgroup")
_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class HealthCheck:
    """One line of the report. ``error`` is what a job would end with here; ``note`` marks what only looks odd."""

    name: str
    text: str
    error: AtbError | None = None
    note: bool = False


@dataclass(frozen=True)
class Devices:
    """What TensorFlow and the system see. ``cuda`` is what TensorFlow was built for, None in a CPU build."""

    gpus: tuple[str, ...]
    cuda: str | None
    driver: str | None


def check_versions() -> HealthCheck:
    """This code and the libraries beside it."""
    code = code_identity()
    packages = ", ".join(f"{name} {version}" for name, version in code.packages.items()) or "no training libraries"
    image = f", image {code.image}" if code.image else ""
    return HealthCheck(
        "versions", f"atb {code.version} ({code.digest}), Python {platform.python_version()}{image}; {packages}"
    )


def check_machine(cgroup: Path = _CGROUP) -> HealthCheck:
    """Cores and memory, as limited for this container."""
    cores, quota = len(os.sched_getaffinity(0)), cpu_quota(cgroup)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cpus = f"{cores} CPUs" if quota is None else f"{quota:.3g} of {cores} CPUs"
    memory = min(memory, memory_limit(cgroup) or memory)
    return HealthCheck(
        "machine", f"{cpus}, {memory / 2**30:.1f} GiB of memory, user {os.getuid()}, {platform.machine()}"
    )


def check_scratch() -> HealthCheck:
    """Whether there is a place for temporary files; the root of a container may be read-only."""
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"1")
        free = shutil.disk_usage(tempfile.gettempdir()).free
    except OSError as error:
        return HealthCheck("scratch", "", StoreError(f"no temporary file can be written: {error}; set TMPDIR"))
    return HealthCheck("scratch", f"{tempfile.gettempdir()}, {free / 2**30:.1f} GiB free")


def check_plugins() -> Iterator[HealthCheck]:
    """Every plug-in that is installed here, and whether it can be loaded."""
    for plugin in list_plugins():
        what = f"{plugin.group.removeprefix('atb.')} {plugin.name}"
        try:
            plugin.load()
            text = f"{what}: {plugin.identity()}"
        except SpecError as error:
            yield HealthCheck("plug-in", "", error)
        else:
            yield HealthCheck("plug-in", text)


def find_devices() -> Devices | None:
    """Ask TensorFlow and the driver; None where TensorFlow is not installed."""
    if util.find_spec("tensorflow") is None:
        return None
    with gc_frozen(), capture_stderr():
        import tensorflow as tf

    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        gpus.append(str(details.get("device_name", device.name)))
    build = tf.sysconfig.get_build_info()
    cuda = f"CUDA {build['cuda_version']}, cuDNN {build['cudnn_version']}" if build.get("is_cuda_build") else None
    return Devices(tuple(gpus), cuda, find_driver())


def find_driver(proc: Path = _DRIVER) -> str | None:
    """The NVIDIA driver's version, or None without one."""
    words = _read(proc).split()
    if words:
        return next((word for word in words if word.count(".") >= 1 and word[0].isdigit()), None)
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False, timeout=30)
    return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else None


def judge_devices(found: Devices | None, requested: int) -> HealthCheck:
    """Whether at least ``requested`` GPUs are there, with what was looked for and found."""
    if found is None:
        text = "no TensorFlow here: a launcher's installation, which trains nothing"
        return HealthCheck("device", text, NoAccelerator(f"{requested} GPU asked for; {text}") if requested else None)
    built = f"TensorFlow built for {found.cuda}" if found.cuda else "TensorFlow built for CPUs"
    driver = f"driver {found.driver}" if found.driver else "no NVIDIA driver"
    seen = ", ".join(found.gpus) or "no GPU"
    text = f"{seen} ({driver}; {built})"
    if len(found.gpus) >= requested:
        odd = bool(found.driver and not found.gpus)
        return HealthCheck("device", text, note=odd)
    remedy = (
        "use the CUDA image"
        if found.cuda is None
        else "ask for the node's GPU resource; outside the image, put site-packages/nvidia/*/lib on LD_LIBRARY_PATH"
        if found.driver
        else ("run on a node with the NVIDIA driver and device plugin")
    )
    return HealthCheck(
        "device", text, NoAccelerator(f"{requested} GPU asked for, {len(found.gpus)} seen: {text}; {remedy}")
    )


def check_training(train: Callable[[int], str], gpus: int) -> HealthCheck:
    """Train one epoch on the sample bars, export and verify it, through the very pipeline that jobs run."""
    began = time.monotonic()
    try:
        what = train(gpus)
    except AtbError as error:
        return HealthCheck("training", "", error)
    return HealthCheck("training", f"{what} in {time.monotonic() - began:.1f} s")


def train_sample(gpus: int) -> str:
    """Train one epoch on the sample bars, in memory, as a job would; returns what was done. Raises AtbError."""
    from atb.contract.spec import resolve_spec
    from trainer.own_process import own_imports

    with own_imports():
        from trainer.fit.device import prepare_device
        from trainer.pipeline.job import RunContext, run_job

    spec = resolve_spec("BTCUSDT", "fast", {"source": "sample", "days": 30, "epochs": 1, "as_of": SAMPLE_AS_OF})
    device = prepare_device("gpu", gpus) if gpus else prepare_device("auto")
    result = run_job(spec, MemoryStore(), "doctor", RunContext(device))
    parity = result.export.model.parity if result.export.model else None
    equal = f"ONNX equal to Keras within {parity.scaled:.0e}" if parity else "no ONNX model was verified"
    return f"one epoch of {spec.preset} on {device.name}, {equal}"


def check_store(store: Store) -> HealthCheck:
    """Whether the store can be written, our identity there, and whether it honours conditional writes."""
    where = f"{store.url}{f' at {store.endpoint_url}' if store.endpoint_url else ''}"
    try:
        probe = probe_store(store)
    except AtbError as error:
        return HealthCheck("store", "", error)
    if probe.conditional:
        return HealthCheck("store", f"{where} as {probe.identity}; conditional writes are honoured")
    return HealthCheck("store", f"{where} as {probe.identity}; ignores conditions: promotion needs --force", note=True)


def check_clock(store: Store, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> HealthCheck:
    """How far this clock is from the store's. A wrong one is a refused signature or data cut at the wrong bar."""
    key = f"probes/clock-{os.getpid()}-{time.time_ns()}"
    try:
        before = now()
        store.put(key, b"1")
        after = now()
        try:
            stamp = next(entry.modified for entry in store.list(key))
        finally:
            store.delete(key)
    except AtbError as error:
        return HealthCheck("clock", "", error)
    # the store's stamp may be cut to whole seconds
    skew = max(before - stamp - timedelta(seconds=1), stamp - after, timedelta())
    text = f"{after:%Y-%m-%dT%H:%M:%SZ}, {skew.total_seconds():.0f} s from the store's"
    if skew > CLOCK_TOLERANCE:
        return HealthCheck("clock", text, StoreError(f"the clock is {text}; set it (NTP) before training"))
    return HealthCheck("clock", text)


def examine(gpus: int, store: Store | None, train: Callable[[int], str] | None) -> Iterator[HealthCheck]:
    """All checks, each where what it needs is well; ``train`` None leaves the training out."""
    yield check_versions()
    yield check_machine()
    yield check_scratch()
    yield from check_plugins()
    devices = find_devices()
    device = judge_devices(devices, gpus)
    yield device
    if train is not None and devices is not None and device.error is None:
        yield check_training(train, gpus)
    if store is not None:
        finding = check_store(store)
        yield finding
        if finding.error is None:
            yield check_clock(store)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
