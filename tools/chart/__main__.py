"""Write what is made from the chart's models and the chart: its documents, and k8s/."""

from __future__ import annotations

from pathlib import Path

from tools.chart.documents import values_schema, values_yaml, with_table
from tools.chart.manifests import CHART, manifests


def documents() -> dict[Path, str]:
    """The chart's own written files with their content."""
    readme = CHART / "README.md"
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": values_schema(),
        readme: with_table(readme.read_text()),
    }


def write(files: dict[Path, str]) -> None:
    """Write each file."""
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    write(documents())
    write(manifests())
