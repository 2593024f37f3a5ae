from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from atb.contract.presets import PRESETS
from atb.contract.spec import resolve_spec
from atb.documents.result import FileEntry, Result
from atb.errors import SpecError, StoreError
from atb.registry.champions import ModelKey
from atb.registry.warm import pin_warm_start, read_warm_start, unseen_from
from atb.storage import MemoryStore, Store
from tests.atb.registry.candidates import commit
from tests.atb.registry.test_promote import promote

MODEL_KEY = ModelKey("BTCUSDT", "1h", "fast")
NET = b"a net"


def commit_with_net(store: Store) -> Result:
    result = commit(store)
    key = result.files[0].key.replace("model.onnx", "model.keras")
    store.put(key, NET)
    file = FileEntry(path="model.keras", key=key, size=len(NET), sha256=hashlib.sha256(NET).hexdigest())
    result = result.model_copy(update={"files": (*result.files, file)})
    store.put("runs/r1/jobs/BTCUSDT-fast/result.json", result.to_bytes())
    return result


def test_a_champion_and_a_run_are_pinned_to_one_file_and_its_hash() -> None:
    store = MemoryStore()
    promote(store, commit_with_net(store))
    pinned = pin_warm_start(store, "champion", MODEL_KEY)
    assert pinned == pin_warm_start(store, "r1", MODEL_KEY) == pin_warm_start(store, pinned, MODEL_KEY)
    assert read_warm_start(store, pinned) == NET
    store.put(pinned.split("@")[0], b"another net")
    with pytest.raises(StoreError, match=r"model\.keras is not what"):
        read_warm_start(store, pinned)


def test_what_a_net_has_seen_is_known_by_its_result_alone() -> None:
    store = MemoryStore()
    result = commit_with_net(store)
    pinned = pin_warm_start(store, "r1", MODEL_KEY)
    assert unseen_from(store, pinned) == result.spec.as_of
    test_from = result.spec.as_of - timedelta(days=27)
    split = result.split.model_copy(update={"test_from": test_from})
    store.put("runs/r1/jobs/BTCUSDT-fast/result.json", result.model_copy(update={"split": split}).to_bytes())
    assert unseen_from(store, pinned) == test_from
    store.delete("runs/r1/jobs/BTCUSDT-fast/result.json")
    with pytest.raises(SpecError, match="run r1 has no result of BTCUSDT-fast"):
        unseen_from(store, pinned)
    with pytest.raises(SpecError, match="is in no run's bundle"):
        unseen_from(store, f"a/model.keras@{'0' * 64}")


def test_a_model_that_is_not_there_is_named() -> None:
    store = MemoryStore()
    with pytest.raises(SpecError, match="BTCUSDT 1h fast has no champion"):
        pin_warm_start(store, "champion", MODEL_KEY)
    commit(store)
    with pytest.raises(SpecError, match=r"run r1 has no model\.keras"):
        pin_warm_start(store, "r1", MODEL_KEY)


def test_a_warm_start_lowers_the_rate_unless_one_is_given() -> None:
    pinned = f"a/model.keras@{'0' * 64}"
    rate = PRESETS["fast"].learning_rate
    assert resolve_spec("BTCUSDT", "fast", {"warm_start": pinned}).learning_rate == pytest.approx(rate / 10)
    assert resolve_spec("BTCUSDT", "fast", {"warm_start": pinned, "learning_rate": 0.5}).learning_rate == 0.5
    with pytest.raises(SpecError, match="does not name one file"):
        resolve_spec("BTCUSDT", "fast", {"warm_start": "champion"})


def test_augmentations_are_known_and_in_one_order() -> None:
    assert resolve_spec("BTCUSDT", "fast", {"augment": "scale, jitter"}).augment == "jitter,scale"
    with pytest.raises(SpecError, match="'mixup' is unknown"):
        resolve_spec("BTCUSDT", "fast", {"augment": "jitter,mixup"})
