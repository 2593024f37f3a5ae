"""Write what is made from the chart's models: values.yaml, values.schema.json and the README's table."""

from __future__ import annotations

from pathlib import Path

from tools.chart.documents import values_schema, values_yaml, with_table

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "atb"


def documents() -> dict[Path, str]:
    """Every written file with its content."""
    readme = CHART / "README.md"
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": values_schema(),
        readme: with_table(readme.read_text()),
    }


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text)
