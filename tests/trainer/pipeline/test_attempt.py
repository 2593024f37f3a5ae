"""Attempts of one job: numbered once each, kept apart, and never in the way of the job."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from atb.contract import keys
from atb.documents.attempt import Claim, ExitReport, Progress
from atb.errors import PreconditionFailed, StoreError
from atb.machine import is_gone
from atb.storage import MemoryStore, Store, open_store
from tests.s3_proxy import FaultProxy
from trainer.fit.checkpoint import Checkpoint
from trainer.fit.loop import Epoch
from trainer.pipeline.attempt import CLAIM, EXIT, LOG, Attempt
from trainer.pipeline.heartbeat import heartbeat

JOB = "BTCUSDT-fast"


class RudeStore(MemoryStore):
    """Takes claims and nothing else."""

    def put(self, key: str, data: bytes) -> str:
        raise StoreError(f"store {self.url} refused {key}: 503")


def checkpoint(identity: str, epoch: int) -> Checkpoint:
    return Checkpoint(identity, {"epoch": epoch}, [np.ones(2)], [np.ones(2)], [np.ones(2)])


def test_every_attempt_gets_a_number_of_its_own(store: Store) -> None:
    assert [Attempt(store, "r1", JOB).number for _ in range(3)] == [1, 2, 3]
    assert Attempt(store, "r1", "ETHUSDT-fast").number == 1


def test_the_newest_earlier_checkpoint_of_the_same_work_is_found(store: Store) -> None:
    for identity, epoch in (("mine", 1), ("mine", 2), ("other", 3)):
        Attempt(store, "r1", JOB).save(checkpoint(identity, epoch))
    last = Attempt(store, "r1", JOB)
    last.save(checkpoint("mine", 4))
    found = last.find_checkpoint("mine")
    assert found is not None
    assert (found[0], found[1].state) == (2, {"epoch": 2})
    assert last.find_checkpoint("nobody's") is None


def test_progress_says_the_stage_the_epoch_and_the_time_left(store: Store) -> None:
    attempt = Attempt(store, "r1", JOB)
    attempt.say_epoch(Epoch(number=3, loss=0.5, validation_loss=0.6, rate=1e-3, seconds=2.0), 10)
    progress = Progress.from_bytes(store.get(keys.progress("r1", JOB)), "progress")
    assert (progress.stage, progress.epoch, progress.epochs) == ("training", 3, 10)
    assert (progress.validation_loss, progress.eta_seconds) == (0.6, 14)
    attempt.say_stage("saving", 10)
    progress = Progress.from_bytes(store.get(keys.progress("r1", JOB)), "progress")
    assert (progress.stage, progress.epoch, progress.loss) == ("saving", 3, None)


def test_what_an_attempt_leaves_holds_no_secret_that_a_message_or_a_log_repeats(store: Store) -> None:
    words = "KeyError: https://me:hidden@h/x, AWS_SECRET_ACCESS_KEY=hidden"
    Attempt(store, "r1", JOB).end(70, words, "training", f"error: {words}\n".encode())
    left = [entry.key for entry in store.list("runs/r1/") if entry.key.endswith(("log.txt", "exit.json"))]
    assert len(left) == 2
    assert not any(b"hidden" in store.get(key) for key in left)


def test_an_end_is_reported_with_its_category_and_the_log(store: Store) -> None:
    Attempt(store, "r1", JOB).end(20, "the loss is not a number", "training", b"one line\n")
    report = ExitReport.from_bytes(store.get(keys.attempt("r1", JOB, 1, EXIT)), EXIT)
    assert (report.code, report.category, report.message) == (20, "diverged", "the loss is not a number")
    assert report.peak_memory_bytes > 1e6
    assert store.get(keys.attempt("r1", JOB, 1, LOG)) == b"one line\n"


def test_a_store_that_takes_no_news_stops_nothing() -> None:
    attempt = Attempt(RudeStore(), "r1", JOB)
    attempt.say_stage("training", 3)
    attempt.say_epoch(Epoch(1, 0.5, 0.6, 1e-3, 2.0), 3)
    attempt.renew()
    attempt.save(checkpoint("mine", 1))
    attempt.end(0, "done", "saving", b"")


def test_a_claim_whose_answer_was_lost_is_its_own(s3_endpoint: str, s3_url: str) -> None:
    with FaultProxy(s3_endpoint) as proxy:
        proxy.add("lost", "PUT", "claim.json")
        assert Attempt(open_store(s3_url, proxy.url), "r1", JOB).number == 1


def test_a_requested_number_is_claimed_or_refused(store: Store) -> None:
    assert Attempt(store, "r1", JOB, 3).number == 3
    with pytest.raises(PreconditionFailed, match="attempt 3 of BTCUSDT-fast in run r1 is taken"):
        Attempt(store, "r1", JOB, 3)


def test_a_renewed_claim_is_the_same_and_its_time_moves(store: Store) -> None:
    attempt = Attempt(store, "r1", JOB)
    before = next(iter(store.list(attempt.key("claim.json"))))
    claimed = Claim.from_bytes(store.get(before.key), CLAIM)
    assert (claimed.process, is_gone(claimed.machine, claimed.process)) == (os.getpid(), False)
    beats = threading.Event()
    time.sleep(1.1)  # a store's listing may count whole seconds

    def beat() -> None:
        attempt.renew()
        beats.set()

    with heartbeat(beat, 0.01):
        assert beats.wait(30)
    after = next(iter(store.list(attempt.key("claim.json"))))
    assert after.modified > before.modified
    assert Claim.from_bytes(store.get(before.key), CLAIM) == claimed
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
