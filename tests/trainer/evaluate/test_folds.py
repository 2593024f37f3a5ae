from __future__ import annotations

import pytest

from trainer.evaluate.folds import summarise_folds


def test_folds_come_to_their_mean_and_spread() -> None:
    found = summarise_folds([{"skill": 0.1}, {"skill": 0.3}])
    assert found.count == 2
    assert found.mean["skill"] == pytest.approx(0.2)
    assert found.spread["skill"] == pytest.approx(0.2 / 2**0.5)
    assert found.each == ({"skill": 0.1}, {"skill": 0.3})


def test_one_fold_has_no_spread() -> None:
    assert summarise_folds([{"skill": 0.1}]).spread == {"skill": 0.0}
