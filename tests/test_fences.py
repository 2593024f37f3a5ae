"""Imports point one way, and light parts stay light: read from the sources, lazy imports included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = (
    {"errors", "extras", "log", "memory"},
    {"contract"},
    {"storage"},
    {"bars", "registry"},
    {"features", "networks", "evaluate", "forecast"},
    {"fit", "export", "bundle"},
    {"pipeline"},
    {"doctor"},
    {"cli"},
    {"forkserver"},
)
"""The trainer's houses: each may enter only those of earlier lines."""
LAUNCHER_MAY_ENTER = {"contract", "storage", "registry", "errors"}
MAY_IMPORT_TENSORFLOW = {"networks", "fit", "export", "doctor", "forkserver"}
HEAVY = {"tensorflow", "keras", "tf2onnx"}
LEVEL = {house: level for level, houses in enumerate(LAYERS) for house in houses}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "trainer" else [node.module]
            )
            yield from ((node.lineno, name) for name in names)


def sources(package: str) -> Iterator[tuple[Path, int, str]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        for line, name in imports(path):
            yield path.relative_to(ROOT), line, name


def house_of(name: str) -> str:
    """``bars`` for ``trainer.bars.frame``; empty for ``trainer`` itself and all that is not ours."""
    parts = name.split(".")
    return parts[1] if parts[0] == "trainer" and len(parts) > 1 and parts[1] != "__version__" else ""


def test_every_house_of_the_trainer_has_its_level() -> None:
    houses = {
        path.stem for path in (ROOT / "trainer").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert houses - {"__init__"} == set(LEVEL)


def test_imports_of_the_trainer_point_one_way() -> None:
    wrong = [
        f"{path}:{line} imports {name}"
        for path, line, name in sources("trainer")
        if (target := house_of(name)) and (own := path.parts[1].removesuffix(".py")) != target and own != "__init__"
        if LEVEL[own] <= LEVEL[target]
    ]
    assert wrong == []


def test_the_trainer_never_enters_the_launcher() -> None:
    assert [str(path) for path, _, name in sources("trainer") if name.split(".")[0] == "launcher"] == []


def test_the_launcher_enters_only_the_light_houses() -> None:
    entered = {house_of(name) for _, _, name in sources("launcher")} - {""}
    assert entered <= LAUNCHER_MAY_ENTER


def test_only_three_houses_import_tensorflow() -> None:
    found = {path.parts[1].removesuffix(".py") for path, _, name in sources("trainer") if name.split(".")[0] in HEAVY}
    assert found <= MAY_IMPORT_TENSORFLOW


def test_the_contract_is_standard_library_and_pydantic() -> None:
    allowed = sys.stdlib_module_names | {"pydantic", "trainer"}
    assert {name.split(".")[0] for path, _, name in sources("trainer") if path.parts[1] == "contract"} <= allowed


def test_only_one_module_imports_kubernetes() -> None:
    importers = {path.as_posix() for path, _, name in sources("launcher") if name.split(".")[0] == "kubernetes"}
    assert importers == {"launcher/cluster.py"}


def test_help_is_quick_since_it_loads_nothing_of_what_it_tells_about() -> None:
    code = "from launcher.cli import atb_launch; atb_launch(['--help'], standalone_mode=False)\nimport sys\n"
    slow = {"pydantic", "rich", "boto3", "kubernetes", "yaml"}
    command = [sys.executable, "-c", f"{code}print('LOADED', sorted({slow} & set(sys.modules)))"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "LOADED []"


@pytest.mark.parametrize(
    "code",
    [
        "import launcher.cli",
        "import launcher.cli.run, launcher.cli.runs",
        "from launcher.cli import atb_launch; atb_launch(['--help'], standalone_mode=False)",
    ],
)
def test_the_launcher_loads_no_tensorflow_pandas_or_numpy(code: str) -> None:
    check = (
        f"{code}\nimport sys\nprint('LOADED', sorted({{'tensorflow', 'keras', 'pandas', 'numpy'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "LOADED []"
