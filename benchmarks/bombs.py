"""Memory and time that oversized and malicious files cost to read.

    python -m benchmarks.bombs
    python -m benchmarks.bombs --only zip

Makes each in a temporary folder, lets the product's own reader read it in a process of its own, and prints its size,
how much memory the largest process took beyond what it takes for an ordinary file, the CPU time and the answer.
Exits 1 where a reader took more than ``--most`` MiB, or died.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from atb.documents.plan import Plan
from atb.errors import AtbError
from atb.storage import MemoryStore
from trainer.bars.files import FilesSource

HEADER, ROW, UNTIL_MS = b"timestamp,open,high,low,close,volume\n", b"1767225600000,1,1,1,1,1\n", 4_000_000_000_000


def table(rows: int, letters: int = 0) -> pa.Table:
    """Ones; with ``letters``, also a column that is the same text of so many letters in every row."""
    columns = dict.fromkeys(HEADER.decode().strip().split(","), pa.array(np.ones(rows)))
    texts = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), ["x" * letters])
    return pa.table(columns | ({"note": texts} if letters else {}))


def parquet(content: pa.Table) -> bytes:
    pa.parquet.write_table(content, file := io.BytesIO())
    return file.getvalue()


def feather(content: pa.Table) -> bytes:
    pa.feather.write_feather(content, file := io.BytesIO(), compression="zstd")
    return file.getvalue()


def zipped(method: int, gibibytes: int, name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive, archive.open(name, "w", force_zip64=True) as file:
        for _ in range(gibibytes << 10):
            file.write(bytes(1 << 20))
    return packed.getvalue()


def document(unit: bytes, count: int) -> bytes:
    return b'{"schema_version": "1.0", "x": [' + b",".join([unit] * count) + b"]}"


BOMBS: dict[str, Callable[[], bytes]] = {
    "most-rows.csv": lambda: HEADER + ROW * 9_900_000,
    "too-many-rows.csv": lambda: HEADER + b"1,1,1,1,1,1\n" * 40_000_000,
    "deflate.zip": lambda: zipped(zipfile.ZIP_DEFLATED, 6, "a.csv"),
    "lzma.zip": lambda: zipped(zipfile.ZIP_LZMA, 2, "a.csv"),
    "gzip.csv.gz": lambda: gzip.compress(bytes(1 << 30)) * 6,
    "rows.parquet": lambda: parquet(table(30_000_000)),
    "text.parquet": lambda: parquet(table(2_000_000, 5_000)),
    "rows.feather": lambda: feather(table(30_000_000)),
    "text.feather": lambda: feather(table(1_000_000, 5_000)),
    "deep.json": lambda: b'{"a":' * 1_000_000,
    "objects.json": lambda: document(b'{"a":1}', 5_000_000),
    "numbers.json": lambda: document(b"1", 30_000_000),
    "checkpoint.npz": lambda: zipped(zipfile.ZIP_DEFLATED, 6, "head.npy"),
}
ORDINARY: dict[str, Callable[[], bytes]] = {
    "ordinary.csv": lambda: HEADER + ROW,
    "ordinary.json": lambda: b"{}",
    "ordinary.npz": bytes,
}


def read(path: Path) -> str:
    """What the product's reader says to the file."""
    try:
        if path.suffix == ".json":
            return str(Plan.from_bytes(path.read_bytes(), path.name).run)
        if path.suffix == ".npz":  # its package loads TensorFlow
            unpack = import_module("trainer.fit.checkpoint").unpack_checkpoint
            return f"read: {unpack(path.read_bytes(), 'identity')}"
        bars = FilesSource(str(path.parent), MemoryStore()).fetch("BTCUSDT", "1h", "spot", 0, UNTIL_MS)
        return f"read: {len(bars):,} bars"
    except AtbError as error:
        return str(error).replace(f"{path.parent}/", "")


def measure(name: str) -> tuple[int, int, float, str]:
    """The size in bytes of the file, and of a process that reads it the peak of memory in MiB, the CPU seconds and what
    it said. This process stays small: the peak of one that it starts is never below its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"BTCUSDT_1h.{name.partition('.')[2]}")
        command = [sys.executable, "-m", "benchmarks.bombs", "--only", name, "--at", str(path)]
        subprocess.run(command, check=True)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        said = process.stdout.read().strip()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        size = path.stat().st_size
    return size, used.ru_maxrss >> 10, used.ru_utime + used.ru_stime, "" if process.returncode else said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="those whose name holds this")
    parser.add_argument("--most", type=int, default=2_048, help="MiB that no reader may take")
    parser.add_argument("--at", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.at:
        if chosen.at.exists():
            print(read(chosen.at))
        else:
            chosen.at.write_bytes({**BOMBS, **ORDINARY}[chosen.only]())
        return
    failed = False
    for name in (name for name in BOMBS if chosen.only in name):
        ordinary = f"ordinary.{name.rpartition('.')[2]}"
        size, peak, seconds, said = measure(name)
        peak -= measure(ordinary if ordinary in ORDINARY else "ordinary.csv")[1]
        failed |= not said or peak > chosen.most
        print(f"{name:18} {size / 2**20:7.1f} MiB: {peak:5} MiB, {seconds:5.1f} s: {said or 'it died'}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
