"""Exit codes of a training: one table, read by podFailurePolicy, the retry rules and ``atb-launch why``."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from atb.errors import AtbError
from atb.patience import INTERRUPT


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
    Exit(21, "no-accelerator", "a GPU was asked for and none was found", True, _NO_ACCELERATOR),
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


ERROR = "error: "
"""How the one line about a known failure begins."""


def last_error(text: str) -> str:
    """The last failure that a training's output tells of, as a plain line or as a JSON event; empty without one."""
    event, line = text.rfind('{"time": '), text.rfind(ERROR)
    if event >= 0:
        try:
            fields, size = json.JSONDecoder().raw_decode(text[event:])
        except ValueError:  # cut off
            return ""
        if line < event + size:
            return str(fields["message"]) if fields.get("level") == "error" else ""
    return text[line + len(ERROR) :].partition("\n")[0].strip() if line >= 0 else ""


_DEFAULT = signal.default_int_handler


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    INTERRUPT.stop()
    raise KeyboardInterrupt


def run_and_exit(main: Callable[[], object]) -> NoReturn:
    """Run a command: a known failure is one line on stderr and its own code, anything else a traceback and 70.

    Ctrl-C also ends what other threads wait for, which Python would wait for in turn.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is _DEFAULT:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        main()
    except AtbError as error:
        print(f"{ERROR}{error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception:
        import traceback

        traceback.print_exc()
        print("error: this is a bug of ours; please report it with the lines above", file=sys.stderr)  # noqa: T201
        sys.exit(70)
    sys.exit(0)
