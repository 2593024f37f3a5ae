"""Run a command and draw what it prints, as an SVG: ``python -m tools.picture docs/demo.svg COMMAND …``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 100


def draw(command: list[str], output: str) -> str:
    """The SVG of a terminal that shows the command and its output."""
    console = Console(width=WIDTH, record=True, file=io.StringIO())
    typed = Text.assemble(("$ ", "bold green"), (" ".join(command), "bold"))
    console.print(typed)
    text = Text(output.rstrip())
    text.highlight_regex(r"\bdone\b", "green")
    text.highlight_regex(r"(?m)^symbol .*$", "bold")
    text.highlight_regex(r".*made-up bars.*", "yellow")
    console.print(text)
    return re.sub(
        r"@font-face \{.*?\}\s*", "", console.export_svg(title="atb-launch"), flags=re.DOTALL
    )  # fonts of afar


def main() -> None:
    """Run, draw, and end as the command did."""
    path, *command = sys.argv[1:]
    done = subprocess.run(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": str(WIDTH)},
    )
    Path(path).write_text(draw(command, done.stdout), encoding="utf-8")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
