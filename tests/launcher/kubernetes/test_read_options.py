"""The file of ``--cluster-options``, whatever is in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from atb.errors import SpecError
from launcher.kubernetes.read_options import read_options

BILLIONS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine lines of anchors that stand for nine to the ninth values."""


def test_an_anchor_is_read_as_what_it_stands_for(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text("image: atb\nlabels: &same {team: a}\nannotations: *same\n")
    options = read_options({"cluster_options": str(path)})
    assert options.labels == options.annotations == {"team": "a"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BILLIONS, "more than 100,000 values; do its anchors repeat them"),
        ("a: &a [*a]", "more than 100,000 values"),
        ("a: &a {b: *a}", "more than 100,000 values"),
        ("[" * 5_000, "nested too deeply"),
        ("a: 2026-99-99", "is not YAML: month must be in"),
        ("a: *nowhere", "is not YAML in line 1: .*undefined alias"),
        ("!!python/object/apply:os.system [id]", "is not YAML in line 1: could not determine a constructor"),
        ("- image", "is not a YAML mapping"),
        ("", "is not a YAML mapping"),
        ("image: atb\n2026-01-31: x", "Keys should be strings"),
        ("image: [atb]", "image"),
    ],
)
def test_a_file_that_is_no_options_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=reason) as caught:
        read_options({"cluster_options": str(path)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'env_plain: {A: "hidden',
        "password: hidden",
        "env: {DB_PASSWORD: {a: hidden}}",
        "image: https://me:hidden@registry/atb",
        "labels: {team: ghp_hidden0123456789012}",
        "cpu: https://me:hidden@registry/atb",
    ],
)
def test_nothing_of_a_secret_in_the_file_is_repeated(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(f"image: atb\n{text}\n")
    with pytest.raises(SpecError) as refused:
        read_options({"cluster_options": str(path)})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("90m", 5_400), ("2d", 172_800)])
def test_a_time_has_a_unit(text: str, seconds: int) -> None:
    assert read_options({"image": "atb", "deadline_seconds": text}).deadline_seconds == seconds


@pytest.mark.parametrize("text", ["", "m", "1.5h", "\u0661m", "1w", "9" * 400 + "s", "-1m", "1 m"])
def test_any_other_time_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is not a number and one of s, m, h, d"):
        read_options({"image": "atb", "deadline_seconds": text})


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_toleration_is_not_one_of_every_taint(text: str) -> None:
    with pytest.raises(SpecError, match="names no taint; write KEY, KEY=VALUE or KEY:EFFECT"):
        read_options({"image": "x", "tolerations": (text,)})
    assert read_options({"image": "x", "tolerations": (":NoSchedule",)}).tolerations[0]["effect"] == "NoSchedule"
