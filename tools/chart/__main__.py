"""Write what is made from the chart's models and the chart: its documents, and k8s/."""

from __future__ import annotations

from pathlib import Path

from tools.chart.documents import categories_table, values_schema, values_table, values_yaml, with_table
from tools.chart.manifests import CHART, ROOT, manifests


def documents() -> dict[Path, str]:
    """The written files of the chart and its guide with their content."""
    readme, guide = CHART / "README.md", ROOT / "docs" / "operate.md"
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": values_schema(),
        readme: with_table(readme.read_text(), "values", values_table()),
        guide: with_table(guide.read_text(), "categories", categories_table()),
    }


def write(files: dict[Path, str]) -> None:
    """Write each file."""
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    write(documents())
    write(manifests())
