"""``python -m trainer.forkserver``: imports TensorFlow once, then forks a training for each request.

Lines of JSON come in:

    {"id": "BTCUSDT-fast", "arguments": ["train", "job", …], "log": "/path", "environment": {}}   start one
    {"id": "BTCUSDT-fast", "signal": 15}                                                          send it a signal

and go out:

    {"ready": true}                                the imports are done
    {"id": "BTCUSDT-fast", "pid": 4711}
    {"id": "BTCUSDT-fast", "code": 0}              or "signal": 9, by what it was killed

No TensorFlow operation is run in the parent, so no thread, device or random state of its is inherited. When the
input ends, the trainings get a stop signal and are waited for; when the parent dies, the kernel signals them.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import selectors
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from atb.contract.labels import COMPILE_CACHE_VARIABLE
from trainer.compile_cache import keep_compiled, load_compiled, shared_place
from trainer.log import capture_stderr
from trainer.own_process import own_imports, pin_environment
from trainer.process_memory import gc_frozen
from trainer.stop_signals import expect_parent

PRELOADED = ("trainer.pipeline.job", "trainer.cli")
"""What every training needs and takes seconds to import, TensorFlow with it."""
PRELOADED_LATE = (
    "atb.storage.s3", "trainer.bars.cache.cached", "trainer.bars.files", "trainer.bars.sample", "pandas",
    "pyarrow.pandas_compat", "pyarrow.parquet", "sklearn.ensemble", "threadpoolctl", "matplotlib.backends.backend_agg",
)  # fmt: skip
"""What a training imports only where it needs it, two seconds' worth. None of it may start a thread: a child would lack
it."""
_PR_SET_PDEATHSIG = 1


def serve(run: Callable[[list[str]], int]) -> None:
    """Read requests from standard input until it ends; ``run`` gets the arguments, in a child, and gives its code."""
    server = _Server(run)
    server.say(ready=True)
    server.loop()


class _Server:
    def __init__(self, run: Callable[[list[str]], int]) -> None:
        self._run = run
        self._children: dict[int, str] = {}
        self._partial = b""
        self._open = True
        self._parent = os.getpid()
        wake_reader, self._wake_writer = os.pipe()
        for end in (wake_reader, self._wake_writer):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_writer)
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._read)
        self._selector.register(wake_reader, selectors.EVENT_READ, lambda: os.read(wake_reader, 4096))

    def say(self, **words: Any) -> None:
        try:
            os.write(sys.stdout.fileno(), (json.dumps(words) + "\n").encode())
        except BrokenPipeError:
            pass  # nobody listens any more; the input ends as well

    def loop(self) -> None:
        while self._open or self._children:
            for key, _ in self._selector.select():
                key.data()
            self._reap()

    def _read(self) -> None:
        data = os.read(sys.stdin.fileno(), 1 << 16)
        if not data:
            self._open = False
            self._selector.unregister(sys.stdin.fileno())
            for pid in self._children:
                os.kill(pid, signal.SIGTERM)
            return
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._answer(json.loads(line))

    def _answer(self, request: dict[str, Any]) -> None:
        if "signal" in request:
            for pid, name in self._children.items():
                if name == request["id"]:
                    os.kill(pid, request["signal"])
            return
        pid = os.fork()
        if pid == 0:
            self._become(request)
        self._children[pid] = request["id"]
        self.say(id=request["id"], pid=pid)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            name = self._children.pop(pid, None)
            if name is not None:
                code = os.waitstatus_to_exitcode(status)
                self.say(id=name, **({"code": code} if code >= 0 else {"signal": -code}))

    def _become(self, request: dict[str, Any]) -> None:
        """Run a training in this child; never returns."""
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()  # the terminal's Ctrl-C is the launcher's to handle
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != self._parent:
                os._exit(143)  # it died before the kernel was asked to tell
            expect_parent(self._parent)
            self._selector.close()
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            nothing = os.open(os.devnull, os.O_RDONLY)
            for target, source in ((0, nothing), (1, log), (2, log)):
                os.dup2(source, target)
            os.environ.update(request.get("environment", {}))
            code = self._run(request["arguments"])
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)


def run_atb(arguments: list[str]) -> int:
    """What ``atb ARGUMENTS`` does, and the code it ends with."""
    from trainer.cli import main

    sys.argv = ["atb", *arguments]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def preload() -> None:
    """Do once what every training would do before or after its fit: imports, the code's digest, the card's template,
    a chart's fonts, which libraries have threads to limit. Runs no TensorFlow operation and leaves no thread."""
    with own_imports():
        for module in PRELOADED:
            importlib.import_module(module)
    with capture_stderr(), gc_frozen():
        for module in PRELOADED_LATE:
            importlib.import_module(module)
        from atb.code import code_digest
        from atb.render import load_template
        from trainer.bundle.charts import draw_history
        from trainer.evaluate.trees import find_pools

        code_digest()
        load_template("trainer.bundle", "card.md.j2")
        draw_history("", {"loss": [1.0, 0.9], "val_loss": [1.0, 0.9], "learning_rate": [0.1, 0.1]}).save(
            Path(os.devnull)
        )
        find_pools()


def main(run: Callable[[list[str]], int] = run_atb) -> None:
    """Preload, then serve. What XLA compiles for one training, the next ones load."""
    shared = os.environ.get(COMPILE_CACHE_VARIABLE, "")
    place = shared_place(shared) if shared else None
    with tempfile.TemporaryDirectory(prefix="atb-xla-") as name:
        folder = Path(name)
        if place is not None:
            load_compiled(place, folder)
        pin_environment(os.environ)
        if not os.environ.get("TF_XLA_FLAGS"):
            os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={folder}"
        # It warns of the processor's tuning hints as if they were features, each time it loads what it has compiled
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        preload()

        def run_and_keep(arguments: list[str]) -> int:
            code = run(arguments)
            if place is not None:
                keep_compiled(folder, place)
            return code

        serve(run_and_keep)


if __name__ == "__main__":
    main()
