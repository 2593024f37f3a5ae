"""One training among random kills, on a real S3 server behind a proxy that fails at random: it ends as if alone.

By hand, for as long as wanted: python -m tests.storm --seeds 20 --kills 6
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import boto3

from atb.contract import keys
from atb.contract.spec import Spec
from atb.documents.result import Result
from atb.errors import NotFound
from atb.registry.champions import verify
from atb.storage import MemoryStore, Store, open_store
from launcher.worker.forkserver_client import Ended, ForkServerClient
from tests.processes import job_arguments
from tests.s3_proxy import Fault, FaultProxy
from tests.seaweed import ACCESS_KEY, SECRET_KEY, serve_s3
from tests.trainer.pipeline.market import sine_close, tiny_spec, train, write_bars

RUN = "storm"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
STRUCK = 0.05
"""The share of requests that a fault befalls."""
STALL_SECONDS = 20.0
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
LONGEST = 3.0
"""Seconds that an attempt has at most before it is killed: about as long as the whole training takes."""


@dataclass(frozen=True)
class Weather:
    """What a storm did: how each attempt ended, and how many of its requests failed."""

    ends: list[str]
    requests: int
    faults: int


def draw_fault(rng: random.Random, stall_seconds: float, method: str, path: str) -> Fault | None:
    """What befalls a request: in 19 cases of 20 nothing."""
    if rng.random() >= STRUCK:
        return None
    kind = rng.choice(["500", "503", "reset", "lost", "stall", *(["cut", "altered"] * (method == "GET"))])
    if kind in ("500", "503"):
        return Fault("status", status=int(kind))
    return Fault(kind, seconds=stall_seconds)  # type: ignore[arg-type]


def storm(
    forks: ForkServerClient,
    store: Store,
    proxy: FaultProxy,
    spec: Spec,
    seed: int,
    kills: int,
    stall_seconds: float = STALL_SECONDS,
) -> Weather:
    """Kill the training ``kills`` times at a random moment, with random faults all the while, and credentials that
    expire in every attempt; then let it end."""
    rng, ends = random.Random(seed), []
    proxy.draw = partial(draw_fault, random.Random(f"faults {seed}"), stall_seconds)
    requests, struck = len(proxy.seen), proxy.struck
    job = keys.job_id(spec.symbol, spec.preset)
    arguments = [*job_arguments(spec, RUN, store.url), "--endpoint-url", proxy.url]
    with tempfile.TemporaryDirectory() as folder:
        for attempt in range(kills + 1):
            proxy.faults.clear()  # two in a row would mean that new credentials have expired, too
            where = rng.choice(["", "claim", "progress", "bundle", "result", "checkpoint"])
            proxy.add("status", rng.choice(["GET", "PUT"]), where, status=403, body=EXPIRED)
            name, log = f"{seed}-{attempt}", Path(folder, f"{attempt}.log")
            forks.start(name, arguments, str(log), CREDENTIALS)
            give_up = time.monotonic() + (rng.uniform(0.1, LONGEST) if attempt < kills else 240.0)
            ended = None
            while ended is None:
                for event in forks.events(0.05):
                    if isinstance(event, Ended) and event.name == name:
                        ended = event
                if ended is None and time.monotonic() > give_up:
                    forks.stop(name, signal.SIGKILL)
                    give_up += 60.0
            ends.append(f"signal {ended.signal}" if ended.signal else f"code {ended.code}")
            assert ended.signal == signal.SIGKILL or ended.code == 0, log.read_text()
            _check_books(store, job)
    proxy.faults.clear()
    proxy.draw = lambda method, path: None
    return Weather(ends, len(proxy.seen) - requests, proxy.struck - struck)


def _check_books(store: Store, job: str) -> None:
    """A result that is there is whole, whatever was killed: every file that it names has its size and digest."""
    key = keys.result(RUN, job)
    try:
        result = Result.from_bytes(store.get(key), key)
    except NotFound:
        return
    assert result.files
    for file in result.files:
        verify(file, store.get(file.key))


def assert_as_if_alone(store: Store, spec: Spec, alone: Result) -> None:
    """The job has one result, with the numbers and the net of a training that was left alone."""
    key = keys.result(RUN, keys.job_id(spec.symbol, spec.preset))
    result = Result.from_bytes(store.get(key), key)
    assert result.metrics == alone.metrics
    nets = [{file.path: file.sha256 for file in each.files}.get("scaler.json") for each in (result, alone)]
    assert nets[0] == nets[1]


def make_spec(folder: Path) -> Spec:
    """A training of some seconds, most of which is the fit."""
    write_bars(folder, "WAVE", sine_close())
    return tiny_spec(folder, "WAVE", epochs=6, patience=100, onnx=False)


def main() -> None:
    """Storm after storm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=4)
    chosen = parser.parse_args()
    os.environ.update(CREDENTIALS)
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_s3(Path(folder)) as endpoint,
        FaultProxy(endpoint) as proxy,
        ForkServerClient(environment={"TF_CPP_MIN_LOG_LEVEL": "2"}) as forks,
    ):
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="storms")
        spec = make_spec(Path(folder, "bars"))
        alone = train(MemoryStore(), RUN, spec)
        for seed in range(chosen.seeds):
            store = open_store(f"s3://storms/{seed}", proxy.url)
            weather = storm(forks, store, proxy, spec, seed, chosen.kills)
            assert_as_if_alone(store, spec, alone)
            failed = f"{weather.faults} of {weather.requests} requests failed"
            print(f"seed {seed}: {', '.join(weather.ends)}; {failed}; as if alone", flush=True)


if __name__ == "__main__":
    main()
