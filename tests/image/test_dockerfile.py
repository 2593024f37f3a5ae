"""The image's recipe, as far as reading it tells."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.kubernetes.options import ClusterOptions

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile.gpu"


@pytest.fixture(scope="module")
def recipe() -> str:
    return DOCKERFILE.read_text()


def test_hadolint_finds_nothing() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = str(beside) if beside.is_file() else shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not here; it is in the extra test")
    answer = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout


def test_the_default_base_is_pinned_by_tag_and_digest(recipe: str) -> None:
    assert re.search(r"^ARG BASE_IMAGE=\S+:\S+@sha256:[0-9a-f]{64}$", recipe, re.MULTILINE)


def stages(recipe: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in recipe.replace("\\\n", " ").splitlines():
        if match := re.match(r"FROM \S+ AS (\S+)", line):
            current = found.setdefault(match[1], [])
        elif found and line and not line.startswith("#"):
            current.append(line)
    return found


@pytest.mark.parametrize("stage", ["launcher", "trainer"])
def test_a_final_stage_runs_as_the_user_that_jobs_name_and_builds_nothing(recipe: str, stage: str) -> None:
    lines = stages(recipe)[stage]
    user = ClusterOptions(image="x").run_as_user
    assert f"USER {user}:{user}" in lines
    assert not any(line.startswith(("RUN", "ADD")) for line in lines)
    assert any(line.startswith("ENTRYPOINT [") for line in lines)
    copies = [line for line in lines if line.startswith("COPY")]
    assert [copy.split()[1] for copy in copies] == [f"--from={stage}-libraries", "--from=code"], "code comes last"


def test_the_loader_looks_for_cuda_libraries_in_the_folder_that_links_them_all(recipe: str) -> None:
    linked = re.search(r'ln -s "\$\{site\}"/nvidia/\*/lib/\*\.so\.\* (\S+)/;', recipe)
    looked = re.search(r"LD_LIBRARY_PATH=(\S+)", recipe)
    assert linked
    assert looked
    assert linked[1] in looked[1].split(":")


def test_no_pip_cache_is_left(recipe: str) -> None:
    installs = re.findall(r"pip install[^;\n]*", recipe)
    assert len(installs) >= 3
    assert all("--no-cache-dir" in line for line in installs)


def test_the_context_holds_only_what_is_copied(recipe: str) -> None:
    allowed = {line[1:].rstrip("/") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = set()
    for words in (line.split() for line in recipe.splitlines() if line.startswith("COPY ") and "--from" not in line):
        copied |= set(words[1:-1])
    assert copied == allowed


def test_every_install_verifies_hashes_or_brings_our_own_code_alone(recipe: str) -> None:
    installs = re.findall(r"pip install[^;\n]*", recipe.replace("\\\n", " "))
    own = [line for line in installs if "--require-hashes" not in line]
    assert len(own) == 1
    assert all("--no-deps" in line for line in installs if "build.txt" not in line), "the locks are complete"
    assert {"--no-deps", "--no-build-isolation"} <= set(own[0].split()), "a build's own requirements are locked too"
