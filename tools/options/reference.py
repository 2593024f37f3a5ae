"""docs/reference.md: every option, once."""

from __future__ import annotations

from collections.abc import Iterable

from atb.options.table import CLUSTER, LAUNCH, MODEL, SHARED, TRAIN, Row

_TITLES = {
    SHARED: ("Both commands", "At the top of atb.toml."),
    LAUNCH: ("A launch", "Flags of `atb-launch`; `[launch]` in atb.toml."),
    TRAIN: ("A training", "Flags of `atb train model` and, but for the execution, of `atb-launch`; `[train]`."),
    MODEL: ("One of a symbol's models", "Flags of `atb predict` and of the commands of `atb models`; `[model]`."),
    CLUSTER: ("A cluster", "Flags of `atb-launch`; `[cluster]`. Lists and tables are written as Kubernetes has them."),
}
_HEAD = """# Reference

Every option of `atb` and `atb-launch`. Made from the models by `make reference`.

A flag beats a variable of the environment, which beats `atb.toml`, which beats the preset, which beats the default.
`atb.toml` is the nearest one in the working directory or above it:

```toml
store = "s3://models/atb"

[train]
epochs = 50

[cluster]
image = "registry.example/atb@sha256:…"

[profiles.trial.train]
epochs = 5
```

`--profile trial` takes the values of `[profiles.trial.…]` before the others. `atb config` prints what holds and where
it comes from. Flags that are given several times are separated by blanks in a variable.
"""


def reference(rows: Iterable[Row]) -> str:
    """The page."""
    sections: dict[str, list[Row]] = {name: [] for name in _TITLES}
    for row in rows:
        sections.setdefault(row.section, []).append(row)
    return "\n".join([_HEAD, *(_section(name, found) for name, found in sections.items())])


def _section(name: str, rows: list[Row]) -> str:
    title, words = _TITLES.get(name, (f"`{name.replace('.', ' ')}`", f"`[{name}]` in atb.toml."))
    lines = [
        f"## {title}",
        "",
        words,
        "",
        "| option | what it says | default | variable | atb.toml |",
        "|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_line(row) for row in rows), ""])


def _line(row: Row) -> str:
    flags = ", ".join(row.flags) if row.flags else "none: file only"
    value = row.metavar or ("/".join(row.choices) if row.choices else "")
    shown = f"`{flags} {value}`".replace(" `", "`") if row.flags else flags
    cells = (shown, row.help, row.default, f"`{row.variable}`", f"`{row.key}`")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
