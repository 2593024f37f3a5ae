"""One training from Python, in its own process, so that the caller's is not affected."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import IO, Any

from atb import errors
from atb.api.stores import StoreLike, find_store
from atb.contract import keys
from atb.contract.exits import last_error
from atb.contract.options import ExecutionOptions
from atb.contract.presets import DEFAULT_PRESET
from atb.contract.runs import new_run, validate_run
from atb.contract.spec import Spec, resolve_spec
from atb.documents.attempt import Progress
from atb.documents.result import Result
from atb.errors import AtbError, NotFound, SpecError
from atb.options.read import read_options
from atb.storage import MemoryStore, Store

_POLL_SECONDS = 0.5
_STOP_SECONDS = 120.0
"""How long an interrupted training has to save its checkpoint."""
_EXECUTION = ("accelerator", "gpus", "threads")


def train(
    symbol: str,
    preset: str = DEFAULT_PRESET,
    *,
    store: StoreLike | None = None,
    run: str | None = None,
    progress: bool = True,
    **options: Any,
) -> Result:
    """Train a model and return its committed result, as ``atb train model`` does.

    ``options`` are those of docs/reference.md by name: ``epochs=20``, ``source="files:./bars"``, and for the execution
    ``accelerator``, ``gpus`` and ``threads``. It runs in its own process; ``progress`` shows a status line. An
    interrupt lets it save a checkpoint, from which the same call with the same ``run`` continues. Raises what the
    training ended with: SpecError, DataError, Diverged, … with its one line.
    """
    from atb.registry.champions import ModelKey
    from atb.registry.warm import pin_warm_start

    opened = find_store(store)
    if isinstance(opened, MemoryStore):
        raise SpecError("a store in memory can't be reached from a training; open a directory or s3://bucket/prefix")
    execution = {name: options.pop(name) for name in _EXECUTION if name in options}
    name, start = validate_run(run) if run else new_run(), options.pop("warm_start", None)
    spec = resolve_spec(symbol, preset, options)
    if start:
        pinned = pin_warm_start(opened, start, ModelKey.of(spec))
        spec = resolve_spec(symbol, preset, {**options, "warm_start": pinned})
    words = [sys.executable, "-m", "trainer.cli", "train", "job", spec.to_bytes().decode(), "--run", name]
    words += ["--store", opened.url, *(["--endpoint-url", opened.endpoint_url] if opened.endpoint_url else [])]
    read_options(ExecutionOptions, execution)
    for option, value in {"log_format": "json", **execution}.items():
        words += [f"--{option.replace('_', '-')}", str(value)]
    show = _Line() if progress else None
    _run(words, lambda: show and show(_how_far(opened, spec, name)))
    if show:
        show.end()
    key = keys.result(name, keys.job_id(spec.symbol, spec.preset))
    return Result.from_bytes(opened.get(key), key)


def _run(words: list[str], poll: Callable[[], object]) -> None:
    """Run a training to its end. Raises the error that it ended with."""
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        try:
            while child.poll() is None:
                poll()
                time.sleep(_POLL_SECONDS)
        except BaseException:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(_STOP_SECONDS)
            finally:
                child.kill()
            raise
        if child.returncode:
            raise _error_of(child.returncode, log)


def _error_of(code: int, log: IO[bytes]) -> AtbError:
    log.seek(0)
    text = log.read().decode("utf-8", "replace")
    kinds: dict[int, type[AtbError]] = {
        kind.exit_code: kind
        for kind in (each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, AtbError))
        if kind.__base__ is AtbError
    }
    message = last_error(text) or (text.strip().splitlines() or ["it printed nothing"])[-1]
    return kinds.get(code, AtbError)(message if code > 0 else f"the training was killed by signal {-code}: {message}")


def _how_far(store: Store, spec: Spec, run: str) -> str:
    key = keys.progress(run, keys.job_id(spec.symbol, spec.preset))
    try:
        found = Progress.from_bytes(store.get(key), key)
    except (NotFound, SpecError):
        return f"{spec.symbol} {spec.preset}: starting"
    epoch = f", epoch {found.epoch} of {found.epochs}" if found.epoch else ""
    loss = f", validation loss {found.validation_loss:.4g}" if found.validation_loss is not None else ""
    return f"{spec.symbol} {spec.preset}: {found.stage}{epoch}{loss}"


class _Line:
    """A status line on stderr that is overwritten; terminals and notebooks both show it."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, text: str) -> None:
        if text != self._shown:
            sys.stderr.write(f"\r{text:<{len(self._shown)}}")
            sys.stderr.flush()
            self._shown = text

    def end(self) -> None:
        sys.stderr.write("\n")
