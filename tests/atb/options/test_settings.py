from __future__ import annotations

import pytest

from atb.errors import SpecError
from atb.options.settings import read_settings


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("nonsense=1", r"nonsense: this option is unknown; known are .*epochs"),
        ("epoch=1", r"did you mean epochs\?"),
        ("epochs", r"is not NAME=VALUE"),
        ("symbol=BTC", "unknown"),
    ],
)
def test_a_setting_nobody_reads_is_an_error(pair: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read_settings([pair])


def test_a_setting_given_twice_must_say_the_same() -> None:
    assert read_settings(["epochs=5", "epochs=5", "batch-size=8"]) == {"epochs": "5", "batch_size": "8"}
    with pytest.raises(SpecError, match="twice: 5 and 6"):
        read_settings(["epochs=5", "epochs=6"])
