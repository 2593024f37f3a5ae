"""Shared fixtures: a real S3 server, stores of each kind, real bars."""

from __future__ import annotations

import gc
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from hypothesis import settings

from atb.patience import INTERRUPT
from atb.storage import DirectoryStore, MemoryStore, Store, open_store
from launcher.worker.forkserver_client import ForkServerClient
from tests.processes import Atb
from tests.seaweed import ACCESS_KEY, SECRET_KEY, serve_s3

SHARED_BARS = Path(os.environ.get("ATB_SHARED_BARS", Path(__file__).parents[2] / "shared" / "bars"))

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of a shell's background job; children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.disable()  # until all is collected: looking for garbage among what is imported takes a third of that time

settings.register_profile("fuzz", max_examples=5_000, deadline=None)

SLOW_FIRST = ("docs", "fit", "pipeline", "export", "launcher", "cli")
"""Folders whose files take long: begun last, one of them would leave the other processes idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, each still as one."""
    rank = {folder: number for number, folder in enumerate(SLOW_FIRST)}
    items.sort(key=lambda item: min((rank[part] for part in item.path.parts if part in rank), default=len(rank)))


def pytest_collection_finish() -> None:
    """What is imported by now is there for good, as it is in a training."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def no_stop_signal() -> Iterator[None]:
    """A signal that one test sends to this process shortens no wait of the next."""
    yield
    INTERRUPT.count = 0


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running S3 server's URL; the usual AWS variables hold its keys from here on."""
    os.environ.update(AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY, AWS_DEFAULT_REGION="us-east-1")
    os.environ.update(AWS_EC2_METADATA_DISABLED="true")
    with serve_s3(tmp_path_factory.mktemp("weed")) as endpoint:
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="atb-tests")
        yield endpoint


@pytest.fixture
def s3_url(s3_endpoint: str) -> str:
    """A store URL below a new prefix of the S3 server's bucket; open it with ``endpoint_url=s3_endpoint``."""
    return f"s3://atb-tests/{uuid.uuid4().hex[:12]}/prefix"


@pytest.fixture(params=["memory", "directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """The same test on the twin, a directory and a real S3 server."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    return open_store(request.getfixturevalue("s3_url"), request.getfixturevalue("s3_endpoint"))


@pytest.fixture(scope="session")
def atb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Atb]:
    """``atb`` as processes forked from one that has imported TensorFlow."""
    server = (sys.executable, "-m", "tests.forks")
    with ForkServerClient(server, environment={"TF_CPP_MIN_LOG_LEVEL": "2"}) as forks:
        yield Atb(forks, tmp_path_factory.mktemp("logs"))


@pytest.fixture(scope="session")
def shared_bars() -> Path:
    """The folder of real hourly bars (perp/ and spot/)."""
    if not SHARED_BARS.is_dir():
        pytest.skip("real bars are not beside this checkout (../shared/bars, or ATB_SHARED_BARS)")
    return SHARED_BARS
