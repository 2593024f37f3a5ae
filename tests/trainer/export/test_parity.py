"""Which windows are compared."""

from __future__ import annotations

import numpy as np

from trainer.export.parity import WANTED, choose_ends


def test_few_windows_are_all_chosen() -> None:
    ends = np.arange(10, 10 + WANTED)
    assert np.array_equal(choose_ends(ends), ends)


def test_many_windows_are_thinned_from_the_first_to_the_last() -> None:
    chosen = choose_ends(np.arange(100_000))
    assert len(np.unique(chosen)) == WANTED
    assert (chosen[0], chosen[-1]) == (0, 99_999)
