"""The version stands in atb/__init__.py; everything else that names one says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import atb

ROOT = Path(__file__).parents[1]


def test_the_chart_has_the_package_s_version() -> None:
    chart = yaml.safe_load((ROOT / "helm" / "atb" / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (atb.__version__, atb.__version__)


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("Dockerfile.gpu", r"^ARG VERSION=(\S+)$"),
        ("k8s/base/kustomization.yaml", r"(?:newTag|version): (\d\S+)$"),
        ("README.md", r"atb-(?:trainer|launcher):(\d+\.\d+\.\d+)"),
        ("docs/operate.md", r"atb-(?:trainer|launcher):(\d+\.\d+\.\d+)"),
    ],
)
def test_every_place_that_names_a_version_names_this_one(file: str, pattern: str) -> None:
    named = re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) == {atb.__version__}


def test_the_changelog_has_this_version_and_what_comes_next() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert atb.__version__ in headings


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text() + (ROOT / "tools" / "tools.mk").read_text()
    phony = {name for line in re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE) for name in line.split()}
    described = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert phony == described
