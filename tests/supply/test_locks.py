"""What the images install: all of it, in the tested versions, each with its hashes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tools.supply.locks import IMAGES, LOCKS, ROOT, parse, split

FILES = sorted(path.name for path in LOCKS.glob("*.txt"))
EXTRAS = {"launcher": [], "trainer-cpu": ["train-cpu"], "trainer-gpu": ["gpu"]}
PIN = re.compile(r"(\S+)==(\S+?)( ; [^\\]+)? \\")


def pinned(*files: str) -> dict[NormalizedName, str]:
    found: dict[NormalizedName, str] = {}
    for file in files:
        for name, lines in parse((LOCKS / file).read_text()).items():
            match = PIN.match(lines)
            assert match, lines
            assert canonicalize_name(name) not in found, f"{name} is in two files of one image"
            found[canonicalize_name(name)] = match[2]
    return found


def requirements(project: dict[str, Any], extras: list[str]) -> Iterator[Requirement]:
    """The project's dependencies and those of its extras; extras that name the project are followed."""
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    for each in map(Requirement, lines):
        if each.name == project["name"]:
            yield from requirements({**project, "dependencies": []}, sorted(each.extras))
        else:
            yield each


@pytest.mark.parametrize("file", FILES)
def test_every_pin_has_its_hashes_and_nothing_else_is_in_the_file(file: str) -> None:
    text = (LOCKS / file).read_text()
    for name, lines in parse(text).items():
        pin, *hashes = lines.splitlines()
        assert PIN.match(pin), name
        assert hashes, name
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), name
    assert len(text.splitlines()) == 1 + sum(len(lines.splitlines()) for lines in parse(text).values())


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_all_that_the_project_asks_for(image: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = pinned(*IMAGES[image])
    for each in requirements(project, EXTRAS[image]):
        assert each.specifier.contains(pins[canonicalize_name(each.name)]), each


@pytest.mark.parametrize("file", FILES)
def test_versions_are_those_that_were_tested_together(file: str) -> None:
    text = "".join((ROOT / name).read_text() for name in ("constraints.txt", "constraints-gpu.txt"))
    lines = [line.split("==") for line in text.splitlines() if "==" in line]
    tested = {canonicalize_name(name): version for name, version in lines}
    wrong = {name: version for name, version in pinned(file).items() if tested.get(name, version) != version}
    assert wrong == {}, "write the locks again with: make locks"


def test_what_images_share_is_in_one_file_and_two_versions_of_it_are_refused() -> None:
    launcher, cpu, gpu = {"a": "a==1 \\\n"}, {"a": "a==1 \\\n", "b": "b==1 \\\n", "c": "c==1 \\\n"}, {"b": "b==1 \\\n"}
    files = split(launcher, cpu, {**gpu, **launcher, "d": "d==1 \\\n"})
    assert {name: sorted(pins) for name, pins in files.items()} == {
        "launcher.txt": ["a"],
        "trainer.txt": ["b"],
        "cpu.txt": ["c"],
        "gpu.txt": ["d"],
    }
    with pytest.raises(ValueError, match="b would differ"):
        split(launcher, cpu, {"b": "b==2 \\\n"})
