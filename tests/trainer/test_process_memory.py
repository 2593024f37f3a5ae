"""Memory that is free goes back to the system."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from trainer.process_memory import gc_frozen, peak_memory

ROOT = Path(__file__).parents[2]


def test_the_peak_is_of_this_process_and_never_falls() -> None:
    held = bytearray(b"1") * (64 << 20)
    during = peak_memory()
    del held
    assert peak_memory() > during - (1 << 20)  # the kernel counts pages in bundles
    assert 64 << 20 < during < 64 << 30


def test_no_garbage_is_looked_for_among_what_is_there_for_good() -> None:
    gc.unfreeze()
    with gc_frozen():
        assert not gc.isenabled()
        made: list[object] = []
        made.append(made)
    try:
        assert gc.isenabled()
        assert not any(each is made for each in gc.get_objects())
    finally:
        gc.unfreeze()
    assert any(each is made for each in gc.get_objects())


def test_what_is_freed_does_not_stay_with_the_process() -> None:
    code = """
import pyarrow
from trainer.process_memory import tune_malloc
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
tune_malloc()
before = resident()
for size in (4 << 20, 16 << 20, 30 << 20):  # each larger than the last: glibc would keep the next one of its size
    del [bytearray(b"1") * size][0]
blocks = [bytearray(b"1") * (3 << 20) for _ in range(20)]
assert resident() > before + (50 << 20)
keep = bytearray(1 << 10)
del blocks
print(resident() < before + (8 << 20), pyarrow.default_memory_pool().backend_name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "True system\n", done.stderr
