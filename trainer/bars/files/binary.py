"""Parquet and feather, which native code reads: bounded, and validated whole before anything looks into them."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa

from atb.errors import DataError
from trainer.bars.bounds import MOST_BYTES, bounded_rows
from trainer.bars.columns import read_parquet

_SECONDS = 120.0
_ROOM = 4 * MOST_BYTES
_TOO_MUCH = 3
"""The exit code for a file that needs more than that."""
_OLD_FEATHER, _ARROW = b"FEA1", b"ARROW1"
_READ = f"""
import resource, sys
data = sys.stdin.buffer.read()
import pyarrow as pa
if sys.argv[1] == "Parquet":
    import pyarrow.parquet as pq
room = {_ROOM} + len(data)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
pa.set_cpu_count(1)
try:
    file = pa.BufferReader(data)
    if sys.argv[1] == "Parquet":
        table = pq.ParquetFile(file).read(use_threads=False)
    else:
        table = pa.ipc.open_file(file).read_all()
    table.validate(full=True)
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as out:
        out.write_table(table)
except MemoryError:
    sys.exit({_TOO_MUCH})
except (pa.ArrowException, OSError, ValueError, KeyError) as error:
    sys.exit(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)
"""
"""A feather file's buffers are packed with sizes of their own telling, and its reader trusts more than it checks. A
Parquet file's texts can be a dictionary of one long text, which unpacks to that text in each row."""


def read_parquet_file(data: bytes, where: str) -> pa.Table:
    """The table in a Parquet file; one with more than numbers and times is read in a process of its own, whose
    memory is limited. Raises DataError for a broken one, or one that holds too much."""
    try:
        table = read_parquet(data, where)
        table.validate(full=True)
    except pa.ArrowNotImplementedError:
        return _read_apart(data, where, "Parquet")
    except (pa.ArrowException, OSError, MemoryError, ValueError, KeyError) as error:
        raise _broken(error, where) from None
    return table


def read_feather_file(data: bytes, where: str) -> pa.Table:
    """The table in a feather file, likewise read in a process of its own. Raises DataError."""
    if data.startswith(_OLD_FEATHER):
        raise DataError(f"{where} is of feather's first version; write it again with pandas.to_feather, or as Parquet")
    if not data.startswith(_ARROW):
        raise DataError(f"{where} is not a feather file; write it with pandas.to_feather, or as Parquet")
    return _read_apart(data, where, "feather")


def _read_apart(data: bytes, where: str, kind: str) -> pa.Table:
    command = [sys.executable, "-c", _READ, kind]
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise DataError(f"{where} can't be read within {_SECONDS:.0f} s; write it again, with numbers only") from None
    if done.returncode == _TOO_MUCH:
        raise DataError(
            f"{where} takes more than {_ROOM >> 20} MiB to read; split it into files by month, of numbers only"
        )
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if done.returncode > 0 and lines else "it is damaged, or holds too much"
        raise DataError(f"{where} can't be read: {reason}; write it again, with numbers only")
    try:
        table = pa.ipc.open_stream(pa.BufferReader(done.stdout)).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _broken(error, where) from None
    bounded_rows(table.num_rows, where)
    return table


def _broken(error: BaseException, where: str) -> DataError:
    reason = ascii(str(error).splitlines()[0][:200])[1:-1] if str(error) else type(error).__name__
    return DataError(f"{where} can't be read: {reason}; write it again")
