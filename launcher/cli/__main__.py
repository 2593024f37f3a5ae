"""``python -m launcher.cli``."""

from launcher.cli import main

main()
