"""What CONTRIBUTING.md promises: a preset and a failure category take at most three files, the generated ones apart.

Nets, feature sets, bars sources and stores take none: tests/test_plugins.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.unpack import find_tool

ROOT = Path(__file__).parents[1]
FOLDERS = ("atb", "trainer", "launcher", "tools", "tests", "docs", "helm", "k8s")
Edits = dict[str, list[tuple[str, str]]]
"""By file: a text that stands in it once, and what it becomes."""

PRESET: Edits = {
    "atb/contract/presets.py": [
        ('"quality", "legacy"]', '"quality", "legacy", "tiny"]'),
        (
            "PRESETS: dict[PresetName, Preset] = {\n",
            "PRESETS: dict[PresetName, Preset] = {\n"
            '    "tiny": Preset("fast", epochs=5, batch_size=64, sequence_length=32, patience=2, days=60, '
            "learning_rate=1e-3),\n",
        ),
    ],
    "README.md": [("| `legacy` |", "| `tiny` | a trial | 5 | 64 | 32 | 2 | 60 | 0.001 |\n| `legacy` |")],
}
CATEGORY: Edits = {
    "atb/errors.py": [
        (
            "class DeviceFull(AtbError):",
            'class NoLicence(AtbError):\n    """The exchange wants a licence."""\n\n    exit_code = 23\n\n\n'
            "class DeviceFull(AtbError):",
        )
    ],
    "atb/contract/exits.py": [
        (
            "    Exit(30,",
            '    Exit(23, "no-licence", "the exchange wants a licence", True, "buy one, or take another --source"),\n'
            "    Exit(30,",
        )
    ],
}
USES_PRESET = """
from click.testing import CliRunner
from atb.contract.spec import resolve_spec
from launcher.cli import atb_launch
from tests.chart.helm import CHART
from tests.test_readme import test_the_table_of_presets_is_the_contract
assert resolve_spec("BTCUSDT", "tiny", {}).epochs == 5
words = ["--symbols", "BTCUSDT", "--preset", "tiny", "--source", "sample", "--backend", "local", "--dry-run"]
answer = CliRunner().invoke(atb_launch, words)
assert "BTCUSDT-tiny" in answer.output, answer.output
assert "tiny" in CliRunner().invoke(atb_launch, ["--help"]).output
assert '"tiny"' in (CHART / "values.schema.json").read_text()
test_the_table_of_presets_is_the_contract()
"""
USES_CATEGORY = """
from pathlib import Path
from atb.errors import NoLicence
from atb.contract.exits import PERMANENT_CODES
from launcher.records.categories import CATEGORIES
from tests.atb.contract.test_exits import test_every_error_has_a_code_of_the_table_and_every_code_an_error
found = CATEGORIES["no-licence"]
assert (found.exit_code, found.retry) == (NoLicence.exit_code, "never")
assert "| `no-licence` | 23 | the exchange wants a licence | no |" in Path("docs/operate.md").read_text()
assert 23 in PERMANENT_CODES, "podFailurePolicy ends the Job at once"
test_every_error_has_a_code_of_the_table_and_every_code_an_error()
"""


@pytest.mark.parametrize(
    ("edits", "use"), [(PRESET, USES_PRESET), (CATEGORY, USES_CATEGORY)], ids=["a preset", "a failure category"]
)
def test_is_added_in_three_files_or_fewer(edits: Edits, use: str, tmp_path: Path) -> None:
    assert len(edits) <= 3
    helm = find_tool("helm")
    if helm is None:
        pytest.skip("helm is not here; get it with: make tools")
    environment = {**os.environ, "PATH": f"{Path(helm).parent}{os.pathsep}{os.environ['PATH']}"}
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "README.md", tmp_path)
    for name, pairs in edits.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for old, new in pairs:
            assert text.count(old) == 1, f"{name}: {old}"
            text = text.replace(old, new)
        (tmp_path / name).write_text(text, encoding="utf-8")
    for words in (["-m", "tools.options"], ["-m", "tools.chart"], ["-c", use]):
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
