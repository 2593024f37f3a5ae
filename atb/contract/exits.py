"""Exit codes of a training: one table, read by podFailurePolicy, the retry rules and ``atb-launch why``."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn

from atb.errors import AtbError, SpecError
from atb.patience import INTERRUPT
from atb.redaction import redact


@dataclass(frozen=True)
class Exit:
    """What one exit code means. ``permanent``: another attempt would end the same way."""

    code: int
    category: str
    meaning: str
    permanent: bool
    remedy: str


_NO_ACCELERATOR = "look with: atb doctor; for a trial on the CPU launch with --no-require-gpu or --gpus 0"

EXITS: tuple[Exit, ...] = (
    Exit(0, "done", "done, or nothing to do", True, ""),
    Exit(2, "bad-spec", "the request makes no sense", True, "correct the option that the message names"),
    Exit(10, "bad-data", "the bars cannot be used", True, "look with: atb data check SYMBOL"),
    Exit(11, "data-not-ready", "the bars are not available yet", False, "try again later, or use an earlier --as-of"),
    Exit(20, "diverged", "the loss is not a number", True, "lower --learning-rate, or another --seed"),
    Exit(21, "no-accelerator", "a GPU was requested and none was found", True, _NO_ACCELERATOR),
    Exit(
        22, "device-full", "a step does not fit into the GPU's memory", True, "lower --batch-size, or take a larger GPU"
    ),
    Exit(30, "export-failed", "the exported model differs from the trained one", True, "report it with the job's log"),
    Exit(70, "bug", "a bug in atb", True, "report it with the job's log"),
    Exit(75, "unavailable", "the store or the network did not answer", False, "look with: atb doctor"),
    Exit(143, "stopped", "stopped by a signal", False, "resume with: atb-launch --resume RUN"),
)

BY_CODE: dict[int, Exit] = {entry.code: entry for entry in EXITS}
PERMANENT_CODES: tuple[int, ...] = tuple(entry.code for entry in EXITS if entry.permanent and entry.code)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_NO_MEMORY = ("failed to map segment", "annot allocate memory", "bad_alloc", "MemoryError")
"""What a library that can't be loaded says where memory is lacking."""
_LONGEST = 2_000
"""Characters of a message: it may repeat an argument, which can be of any length."""

ERROR = "error: "
"""The prefix of the one line that reports a known failure."""


def last_error(text: str) -> str:
    """The last failure in a training's output, a plain line or a JSON event; empty if there is none."""
    event, line = text.rfind('{"time": '), f"\n{text}".rfind(f"\n{ERROR}")
    if event >= 0:
        try:
            fields, size = json.JSONDecoder().raw_decode(text[event:])
        except ValueError:  # cut off
            return ""
        if line < event + size:
            return str(fields["message"]).partition("\n")[0] if fields.get("level") == "error" else ""
    return text[line + len(ERROR) :].partition("\n")[0].strip() if line >= 0 else ""


INTERRUPTED = 130
"""What a shell has for a command that Ctrl-C ended."""
GRACE_SECONDS = 3.0
"""How long a command may take to end in good order after Ctrl-C."""
_DEFAULT = signal.default_int_handler


def run_and_exit(main: Callable[[], object]) -> NoReturn:
    """Run a command: a known failure is one line on stderr and its own code, anything else a traceback and 70.

    Ctrl-C also ends what other threads wait for, which Python would wait for in turn. A character that the terminal
    can't show is printed as its escape. Output that can't be written is a failure; messages on stderr that can't be are
    not, so that no run ends for a log's full disk.
    """
    came: list[int] = []
    signals_before = INTERRUPT.count

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        came.append(number)
        INTERRUPT.stop()
        _end_soon(INTERRUPTED)
        raise KeyboardInterrupt

    _open_missing_streams()
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is _DEFAULT:
        signal.signal(signal.SIGINT, interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        raw = io.BufferedWriter(_Unfailing(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, sys.stderr.encoding, "backslashreplace", line_buffering=True)
    code = _run(main, came)
    if came and code == 1:  # click's code for it
        code = INTERRUPTED
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _end_output(error) or code
    if INTERRUPT.count != signals_before:
        _end_soon(code)
    sys.exit(code)


class _Unfailing(io.FileIO):
    """A stream that lets go of what it can't write."""

    def write(self, data: Any, /) -> int:
        """The number of bytes, written or not."""
        written: int | None = None
        with suppress(OSError):
            written = super().write(data)  # None where the other end takes no more at the moment
        return memoryview(data).nbytes if written is None else written


def _end_soon(code: int) -> None:
    """A thread may be reading from a silent server, for which Python would wait."""
    end = threading.Timer(GRACE_SECONDS, os._exit, [code])
    end.daemon = True
    end.start()


def _open_missing_streams() -> None:
    """Let what is printed to a stream that the caller has closed go nowhere, instead of into the next file opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            taken = os.open(os.devnull, os.O_RDWR)
            if taken != number:
                os.dup2(taken, number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _run(main: Callable[[], object], interrupted: Sequence[int]) -> int:
    try:
        _refuse_undecodable(sys.argv[1:])
        _validate_folder()
        main()
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as end:
        if isinstance(end.code, str):
            _complain(end.code)
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except AtbError as error:
        _complain(f"{ERROR}{one_line(str(error))}")
        return error.exit_code
    except Exception as error:
        if isinstance(error, OSError) and (isinstance(error, BrokenPipeError) or _is_output_lost(error)):
            return _end_output(error)
        if isinstance(error, OSError) and error.errno in _FULL:
            where = one_line(str(error.filename)) if error.filename is not None else "a file"
            _complain(f"{ERROR}{where} can't be written: {error.strerror}; free some space")
            return 75
        if interrupted:  # an import that Ctrl-C ends in the middle may fail in other words
            return INTERRUPTED
        if shortage := name_shortage(error):
            _complain(f"{ERROR}{shortage}")
            return 75
        import traceback

        _complain(redact(traceback.format_exc().rstrip()))
        _complain("error: this is a bug in atb; please report it with the lines above")
        return 70
    return 0


def name_shortage(error: BaseException) -> str:
    """What this process may have no more of, and what to raise; nothing for another error."""
    number, text = error.errno if isinstance(error, OSError) else None, str(error)
    if number in (errno.EMFILE, errno.ENFILE):
        return "no more files may be open in this process; raise its limit (ulimit -n)"
    if (number == errno.EAGAIN and not hasattr(error, "characters_written")) or (
        isinstance(error, RuntimeError) and "start new thread" in text
    ):
        return "no more processes or threads may be started; raise the limit (ulimit -u, or the container's of PIDs)"
    unloaded = isinstance(error, ImportError) and any(words in text for words in _NO_MEMORY)
    if isinstance(error, MemoryError) or number == errno.ENOMEM or unloaded:
        return "there is no more memory for this process; raise its limit (ulimit -v), or the container's memory"
    return ""


def one_line(text: str) -> str:
    """The text as a terminal shows it: without line ends and control characters, whatever was read into it. Of a very
    long one the middle is left out: its beginning says what is wrong, its end what to do."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    return "".join(each if each.isprintable() else " " if each in "\n\t" else "\ufffd" for each in text)


def _refuse_undecodable(arguments: list[str]) -> None:
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise SpecError(f"the argument {argument[:80]!a} is not UTF-8; write it in UTF-8") from None


def _validate_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise SpecError(f"the working directory can't be used: {error.strerror}; change to another (cd)") from None


def _is_output_lost(error: OSError) -> bool:
    """Whether standard output has refused what was printed to it: the error comes again, or is one of a full disk or of
    a stream opened for reading alone, and names no file. A pipe or a terminal has no disk."""
    try:
        sys.stdout.flush()
        kind = os.fstat(sys.stdout.fileno()).st_mode
    except OSError:
        return True
    diskless = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or sys.stdout.isatty()
    return error.errno in (*_FULL, errno.EBADF) and error.filename is None and not diskless


def _end_output(error: OSError) -> int:
    """Discard further output to a stream that is closed or full; returns the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 141
    _complain(f"{ERROR}standard output can't be written: {error.strerror}; free some space, or write elsewhere")
    return 75


def _complain(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except OSError:
        pass  # nobody can be told
