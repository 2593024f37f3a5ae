"""Imports point one way, and light parts stay light: read from the sources, lazy imports included."""

from __future__ import annotations

import ast
import functools
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS: dict[str, tuple[set[str], ...]] = {
    "": ({"atb"}, {"trainer", "launcher"}),
    "atb": (
        {"redaction"},
        {"clock", "errors", "first_process", "machine", "render", "threads"},
        {"patience", "plugins", "schema"},
        {"table"},
        {"contract"},
        {"documents"},
        {"code", "comparison", "storage"},
        {"registry", "options"},
        {"api"},
    ),
    "trainer": (
        {"compile_cache", "date_axis", "log", "process_memory", "stop_signals"},
        {"own_process"},
        {"bars"},
        {"features", "networks", "forecast"},
        {"evaluate"},
        {"fit", "export", "bundle"},
        {"pipeline"},
        {"serve"},
        {"doctor"},
        {"cli"},
        {"forkserver"},
    ),
    "launcher": (
        {"records"},
        {"report", "upkeep"},
        {"plan"},
        {"worker", "kubernetes"},
        {"cli"},
    ),
    "launcher.kubernetes": (
        {"api"},
        {"native_parts", "option_kinds"},
        {"options"},
        {"read_options", "objects"},
        {"control", "cleanup"},
        {"preflight", "logs", "schedule"},
        {"why"},
        {"packed"},
        {"print_logs"},
        {"backend"},
    ),
}
"""The parts of each package, from the ground up: a part may import only those of earlier lines."""
MAY_IMPORT_TENSORFLOW = {"own_process", "networks", "fit", "export", "doctor", "forkserver"}
HEAVY = {"tensorflow", "keras", "tf2onnx"}
OURS = ("atb", "trainer", "launcher")


def is_api(path: Path) -> bool:
    """Whether a file is of the Python API, which reaches up to what it calls."""
    return path.as_posix() == "atb/__init__.py" or path.parent.as_posix() == "atb/api"


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if is_module(whole) else node.module


def is_module(name: str) -> bool:
    """Whether a dotted name of ours is a module or a package."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def module_of(path: Path) -> str:
    """``launcher.plan`` for its ``__init__.py``, ``launcher.plan.build`` for ``build.py`` in it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def sources(package: str) -> list[tuple[Path, int, str]]:
    """Each import of a package's files: the file, the line, the module."""
    return [
        (path.relative_to(ROOT), line, name)
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, name in imports(path)
    ]


def part_of(module: str, package: str) -> str:
    """The part of a package that a module lies in: ``plan`` for ``launcher.plan.build`` in ``launcher``; else empty."""
    if package:
        if not module.startswith(f"{package}."):
            return ""
        module = module.removeprefix(f"{package}.")
    return module.split(".")[0]


@pytest.mark.parametrize("package", [name for name in FLOORS if name])
def test_every_part_has_its_floor(package: str) -> None:
    folder = ROOT.joinpath(*package.split("."))
    parts = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__"} == set().union(*FLOORS[package])


@pytest.mark.parametrize("package", FLOORS)
def test_imports_point_one_way(package: str) -> None:
    level = {part: number for number, parts in enumerate(FLOORS[package]) for part in parts}
    wrong = []
    for top in [package.split(".")[0]] if package else OURS:
        for path, line, name in sources(top):
            own, target = part_of(module_of(ROOT / path), package), part_of(name, package)
            if not package and is_api(path):
                continue
            if own in level and target in level and own != target and level[own] <= level[target]:
                wrong.append(f"{path}:{line} imports {name}")
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for path, _, name in (each for top in OURS for each in sources(top) if not is_api(each[0])):
        graph.setdefault(module_of(ROOT / path), set()).add(name)
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in graph.get(module, ()):
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_only_the_python_api_reaches_up_and_only_when_it_is_called() -> None:
    early, others = [], []
    for path in sorted((ROOT / "atb").rglob("*.py")):
        reached = [(line, name) for line, name in imports(path) if name.split(".")[0] in ("trainer", "launcher")]
        if reached and not is_api(path.relative_to(ROOT)):
            others += [f"{path.relative_to(ROOT)}:{line}" for line, _ in reached]
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_import = {node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
        early += [f"{path.relative_to(ROOT)}:{line}" for line, _ in reached if line in at_import]
    assert (others, early) == ([], [])


def test_importing_the_api_loads_nothing_that_a_call_may_need() -> None:
    code = "import atb, sys; print(sorted({'numpy', 'pandas', 'pydantic', 'boto3', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_launcher_has_at_most_seven_rooms_each_entered_through_what_it_exports() -> None:
    rooms = set().union(*FLOORS["launcher"])
    assert len(rooms) <= 7
    wrong = []
    for top in OURS:
        for path, line, name in sources(top):
            own, room = part_of(module_of(ROOT / path), "launcher"), part_of(name, "launcher")
            if room in rooms and own != room:
                exported = {f"launcher.{room}.{each}" for each in importlib.import_module(f"launcher.{room}").__all__}
                if name not in exported:
                    wrong.append(f"{path}:{line} imports {name}, which launcher/{room}/__init__.py does not export")
    assert wrong == []


def test_no_isinstance_of_a_backend() -> None:
    asked = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "launcher").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
        if "Backend" in ast.dump(node.args[1])
    ]
    assert asked == []


def test_only_what_builds_fits_and_exports_nets_imports_tensorflow() -> None:
    found = {path.parts[1].removesuffix(".py") for path, _, name in sources("trainer") if name.split(".")[0] in HEAVY}
    assert found <= MAY_IMPORT_TENSORFLOW


def test_the_contract_is_standard_library_and_pydantic() -> None:
    allowed = sys.stdlib_module_names | {"pydantic", "atb"}
    assert {name.split(".")[0] for path, _, name in sources("atb") if path.parts[1] == "contract"} <= allowed


def test_only_one_module_imports_kubernetes() -> None:
    importers = {path.as_posix() for path, _, name in sources("launcher") if name.split(".")[0] == "kubernetes"}
    assert importers == {"launcher/kubernetes/api/connect.py"}


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


def test_no_folder_has_more_than_a_dozen_files_or_so_and_no_module_is_long() -> None:
    folders: dict[Path, int] = {}
    for top in OURS:
        for path in (ROOT / top).rglob("*.py"):
            folders[path.parent] = folders.get(path.parent, 0) + 1
            lines = path.read_text(encoding="utf-8").count("\n")
            assert lines <= 300, f"{path.relative_to(ROOT)} has {lines} lines"
    assert {folder: count for folder, count in folders.items() if count > 14} == {}


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for top in OURS
        for path in sorted((ROOT / top).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []
