"""The code's digest covers what trains, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from atb.code import DECIDES, DECIDES_NOTHING, digest_files, digested_files
from tests.test_fences import ROOT, imports, is_module

BESIDE = ("trainer.bundle", "trainer.extras", "trainer.log", "trainer.process_memory", "trainer.stop_signals")
"""What a training imports and what changes no model: the card and the charts, the log, memory that is given back,
signals."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in ("atb", "trainer"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    "path",
    [
        "atb/contract/spec.py",
        "atb/contract/exits.py",
        "atb/redaction.py",
        "trainer/bundle/card.py",
        "trainer/bars/cache/claim.py",
        "trainer/bars/chart.py",
        "trainer/pipeline/record.py",
        "trainer/pipeline/stages.py",
        "trainer/cli/train.py",
        "trainer/doctor.py",
    ],
)
def test_a_reworded_help_text_card_or_doctor_is_the_same_code(path: str, tree: Path) -> None:
    before = digest_files(tree)
    (tree / path).write_text((tree / path).read_text().replace('"""', '"""Reworded. ', 1))
    assert digest_files(tree) == before == digest_files(ROOT)


@pytest.mark.parametrize("part", DECIDES)
def test_a_changed_line_of_what_trains_is_another_code(part: str, tree: Path) -> None:
    before = digest_files(tree)
    path = next(file for file in digested_files(tree) if file.is_relative_to(tree / part))
    path.write_text(path.read_text() + "changed = 1\n")
    assert digest_files(tree) != before


def test_a_renamed_file_is_another_code(tree: Path) -> None:
    before = digest_files(tree)
    (tree / "trainer/fit/loop.py").rename(tree / "trainer/fit/loops.py")
    assert digest_files(tree) != before


def test_every_module_of_the_trainer_that_a_training_imports_is_covered_or_known_to_change_no_model() -> None:
    covered, seen, left = set(digested_files(ROOT)), set(), ["trainer.pipeline.job", "trainer.own_process"]
    while left:
        module = left.pop()
        path = ROOT.joinpath(*module.split("."))
        path = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        if module in seen or not module.startswith("trainer.") or module.startswith(BESIDE):
            continue
        seen.add(module)
        left += [name for _, name in imports(path) if is_module(name)]
        assert path in covered or path.relative_to(ROOT).as_posix() in DECIDES_NOTHING, module
    assert "trainer.fit.loop" in seen
