from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluate.stacking import stacking_weight


def test_what_came_true_is_kept_and_what_did_not_is_dropped() -> None:
    rng = np.random.default_rng(0)
    added, noise = rng.normal(size=(2, 2_000))
    assert stacking_weight(added, added + noise, 1) == pytest.approx(1.0, abs=0.06)
    assert stacking_weight(added, 0.4 * added + noise, 1) == pytest.approx(0.4, abs=0.06)
    assert stacking_weight(added, noise - 0.4 * added, 1) == 0.0
    assert stacking_weight(3 * added, 3 * added, 1) == 1.0
    assert stacking_weight(np.zeros(9), noise[:9], 1) == 0.0


def test_a_weight_is_shrunk_by_its_uncertainty_which_overlap_makes_larger() -> None:
    rng = np.random.default_rng(1)
    days = rng.normal(size=(2, 60))
    added, noise = np.repeat(days, 24, axis=1)  # sixty days that look like 1,440 rows
    missing = 0.5 * added + noise
    apart, overlapping = stacking_weight(added, missing, 1), stacking_weight(added, missing, 24)
    plain = float(added @ missing / (added @ added))
    assert overlapping < apart < plain


def test_thirty_independent_rows_bound_what_a_wrong_net_costs_and_what_a_right_one_loses() -> None:
    """Excess squared error as a share of the noise, for outputs that are right by a known share. Keeping all of them
    costs up to 0.25 where none is right; keeping none costs as much where all are."""
    rng = np.random.default_rng(2)
    costs = {}
    for truth in (0.0, 0.1, 0.3, 0.5, 1.0):
        found = []
        for _ in range(300):
            added, noise = rng.normal(size=(2, 30))
            found.append(0.25 * (stacking_weight(0.5 * added, 0.5 * truth * added + noise, 1) - truth) ** 2)
        costs[truth] = float(np.mean(found))
    assert costs[0.0] < 0.015
    assert max(costs.values()) < 0.05
