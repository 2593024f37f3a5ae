"""One suite for every kind of store."""

from __future__ import annotations

import contextlib
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from atb.errors import Denied, NotFound, PreconditionFailed, SpecError, StoreError, StoreSetting
from atb.storage import DirectoryStore, MemoryStore, Store, open_store
from atb.storage.probe import probe_store
from atb.storage.read import map_calls
from tests.permissions import kept_out


def test_what_was_put_is_read_back_whole(store: Store) -> None:
    store.put("a/b.json", b"first")
    store.put("a/b.json", b"second, longer")
    assert store.get("a/b.json") == b"second, longer"


def test_an_absent_key_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match=r"a/nothing\.json"):
        store.get("a/nothing.json")


def test_put_if_absent_writes_once(store: Store) -> None:
    store.put_if_absent("claim", b"mine")
    with pytest.raises(PreconditionFailed):
        store.put_if_absent("claim", b"theirs")
    assert store.get("claim") == b"mine"


def test_put_if_match_refuses_a_stale_etag(store: Store) -> None:
    store.put("pointer", b"one")
    etag = store.get_with_etag("pointer")[1]
    newer = store.put_if_match("pointer", b"two", etag)
    with pytest.raises(PreconditionFailed):
        store.put_if_match("pointer", b"three", etag)
    store.put_if_match("pointer", b"four", newer)
    assert store.get("pointer") == b"four"


def test_put_if_match_refuses_an_absent_key(store: Store) -> None:
    with pytest.raises(PreconditionFailed):
        store.put_if_match("pointer", b"one", '"d41d8cd98f00b204e9800998ecf8427e"')


def test_of_many_writers_exactly_one_wins(store: Store) -> None:
    barrier = threading.Barrier(8)

    def write(number: int) -> bool:
        barrier.wait()
        try:
            store.put_if_absent("race", str(number).encode())
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert sum(won) == 1
    assert store.get("race") == str(won.index(True)).encode()


def test_of_many_swaps_exactly_one_wins(store: Store) -> None:
    etag = store.put("swap", b"start")
    barrier = threading.Barrier(8)

    def swap(number: int) -> bool:
        barrier.wait()
        try:
            store.put_if_match("swap", str(number).encode(), etag)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(swap, range(8)))
    assert sum(won) == 1
    assert store.get("swap") == str(won.index(True)).encode()


def test_a_listing_is_sorted_and_keeps_to_its_prefix(store: Store) -> None:
    for key in ("runs/b/2", "runs/a/1", "runs/ab/3", "runs/a/0"):
        store.put(key, key.encode())
    assert [entry.key for entry in store.list("runs/a")] == ["runs/a/0", "runs/a/1", "runs/ab/3"]
    assert [(entry.key, entry.size) for entry in store.list("runs/a/")] == [("runs/a/0", 8), ("runs/a/1", 8)]
    assert [entry.key for entry in store.list("ru")] == ["runs/a/0", "runs/a/1", "runs/ab/3", "runs/b/2"]
    assert [entry.key for entry in store.list("runs/a/1")] == ["runs/a/1"]
    assert list(store.list("runs/a/1/")) == []
    for prefix in ("runs/../runs/a/", "runs/./a/", "runs//a/", "/runs/", "../"):
        assert list(store.list(prefix)) == []
    assert list(store.list("nothing/")) == []


ODD_NAMES = (
    "a b+c", "a%41", "a%2Fb/c", "ü", "u\u0308", "Case", "case", "q&<>'\"", "e\U0001f600/x", "y" * 255, "a?b#c", "~t",
    ".hidden", "x..y/..z", "a=b,c;d:e@f$g!h*i(j)k", "中文/文件", "[a]{b}",
)  # fmt: skip


def test_a_key_is_any_text_and_no_two_are_the_same(store: Store) -> None:
    for name in ODD_NAMES:
        store.put_if_absent(name, name.encode())
    assert [entry.key for entry in store.list("")] == sorted(ODD_NAMES)
    assert list(store.folders("")) == sorted({name.split("/")[0] for name in ODD_NAMES if "/" in name})
    for name in ODD_NAMES:
        assert [entry.key for entry in store.list(name) if entry.key == name] == [name]
        data, etag = store.get_with_etag(name)
        assert data == name.encode()
        store.delete_if_match(name, etag)
    assert list(store.list("")) == []


def test_a_listing_of_several_pages_is_whole_and_sorted(store: Store) -> None:
    names = [f"long/{job:02}/{number:02}" for job in range(60) for number in range(18)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.put(key, b"1"), names))
    assert [entry.key for entry in store.list("long/")] == names


@pytest.mark.parametrize("root", [".", "a", "./a", "a/", "a/../b"])
def test_keys_are_the_same_however_a_directory_is_written(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore(root)
    store.put("runs/r/plan.json", b"1")
    for prefix in ("", "runs/", "runs/r/", "runs/r/p"):
        assert [entry.key for entry in store.list(prefix)] == ["runs/r/plan.json"]
    assert store.get("runs/r/plan.json") == b"1"


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The operating system refuses to let a file grow further, as it does on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [0, 1, 500])
def test_a_write_that_the_disk_has_no_room_for_changes_nothing(room: int, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    etag = store.put("a/there", b"before")
    (tmp_path / "file").write_bytes(b"x" * 1_000)
    writes: list[Callable[[], object]] = [
        lambda: store.put("a/there", b"x" * 1_000),
        lambda: store.put_if_match("a/there", b"x" * 1_000, etag),
        lambda: store.put_if_absent("a/new", b"x" * 1_000),
        lambda: store.put_file("a/there", tmp_path / "file"),
        lambda: store.put_file("a/new", tmp_path / "file"),
    ]
    for write in writes:
        with files_of_at_most(room), pytest.raises(StoreError, match=r"refused a/\w+: File too large"):
            write()
    assert [(entry.key, store.get(entry.key)) for entry in store.list("")] == [("a/there", b"before")]
    assert list((tmp_path / "store" / ".staging").iterdir()) == []


def test_a_changed_object_has_another_etag_in_the_listing(store: Store) -> None:
    store.put("progress/a", b"1")
    before = {entry.key: entry.etag for entry in store.list("progress/")}
    store.put("progress/a", b"2")
    assert {entry.key: entry.etag for entry in store.list("progress/")} != before


def test_delete_removes_and_forgives(store: Store) -> None:
    store.put("gone", b"1")
    store.delete("gone")
    store.delete("gone")
    with pytest.raises(NotFound):
        store.get("gone")


@pytest.mark.parametrize("size", [0, 1_280_000, 9 << 20], ids=["empty", "in one request", "in parts"])
def test_files_go_there_and_back(store: Store, tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes((bytes(range(251)) * (1 + size // 251))[:size])
    store.put_file("big", source)
    store.get_file("big", target)
    assert target.read_bytes() == source.read_bytes()
    with pytest.raises(NotFound):
        store.get_file("absent", target)
    assert target.read_bytes() == source.read_bytes()


def test_the_probe_finds_conditions_honoured_and_leaves_nothing(store: Store) -> None:
    assert probe_store(store).conditional
    assert list(store.list("probes/")) == []


def test_a_key_cannot_leave_the_directory(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        DirectoryStore(tmp_path).put("../outside", b"")


def test_a_strange_url_is_refused() -> None:
    with pytest.raises(SpecError, match="neither a directory nor s3"):
        open_store("ftp://somewhere")


def test_a_missing_bucket_is_named(s3_endpoint: str) -> None:
    from atb.errors import StoreError

    with pytest.raises(StoreError, match="no bucket atb-is-not-here"):
        open_store("s3://atb-is-not-here/x", s3_endpoint).get("a")


def test_checksums_are_sent_only_where_required_with_an_endpoint(s3_endpoint: str) -> None:
    from atb.storage.s3 import S3Store

    config = vars(S3Store("s3://any/x", s3_endpoint)._link.client.meta.config)["_user_provided_options"]
    assert config["request_checksum_calculation"] == "when_required"
    assert config["response_checksum_validation"] == "when_required"


def test_folders_are_the_names_below_a_prefix_and_nothing_deeper(store: Store) -> None:
    assert list(store.folders("runs/")) == []
    for key in ("runs/b/plan.json", "runs/a/jobs/x/result.json", "runs/a/plan.json", "runs/loose.json", "other/c/d"):
        store.put(key, b"1")
    assert list(store.folders("runs/")) == ["a", "b"]


def test_a_swap_leaves_no_lock_behind(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    etag = store.put("a/pointer.json", b"1")
    store.put_if_match("a/pointer.json", b"2", etag)
    with pytest.raises(PreconditionFailed):
        store.put_if_match("a/pointer.json", b"3", etag)
    assert list((tmp_path / ".staging").iterdir()) == []


def test_a_folder_that_may_not_be_read_fails_the_listing_instead_of_hiding_its_objects(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for key in ("runs/r0/plan.json", "runs/r1/jobs/x", "runs/r2/plan.json"):
        store.put(key, b"{}")
    with kept_out(tmp_path / "runs" / "r1"):
        with pytest.raises(Denied, match=f"^runs/r1 in {tmp_path} can't be read: Permission denied; give this user"):
            list(store.list("runs/"))
        with pytest.raises(Denied, match=r"^runs/r1/jobs/x in "):
            store.get("runs/r1/jobs/x")
        with pytest.raises(StoreSetting, match="give this user read and write access"):
            store.put("runs/r1/plan.json", b"{}")
    with kept_out(tmp_path / "runs"), pytest.raises(Denied, match=r"^runs/ in "):
        list(store.folders("runs/"))


def test_calls_are_made_several_at_a_time_and_answered_in_order() -> None:
    store, at_once, most, lock = MemoryStore(), 0, 0, threading.Lock()

    def call(number: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002)
        with lock:
            at_once -= 1
        return number

    assert list(map_calls(store, call, range(20))) == list(range(20))
    assert most == 1
    store.concurrency = 4
    assert list(map_calls(store, call, range(40))) == list(range(40))
    assert 1 < most <= 4
