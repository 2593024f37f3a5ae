"""A fork server like the trainer's that also runs modules of the tests: TensorFlow is imported once for all of them."""

from __future__ import annotations

import resource
import runpy
import sys

from trainer.forkserver import main, run_atb

SMALL = 64 << 10


def run(arguments: list[str]) -> int:
    """``-m NAME ARGUMENTS``, or arguments of ``atb``."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    if arguments[0] == "--small-files":
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL))
        arguments = arguments[1:]
    return run_atb(arguments)


if __name__ == "__main__":
    main(run)
