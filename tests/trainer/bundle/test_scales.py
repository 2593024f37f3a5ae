from __future__ import annotations

import numpy as np
import pytest

from trainer.bundle.scales import date_scale, linear_scale, log_scale


@pytest.mark.parametrize("values", [[3.0], [0.0], [1e-8, 1.1e-8], [-5.0, 1e6], [61_400.0, 69_900.0], [1e5, 1e5 + 1e-3]])
def test_all_values_and_ticks_lie_on_a_linear_axis(values: list[float]) -> None:
    scale = linear_scale([np.array(values)], 8)
    assert np.all((scale.place(values) >= 0) & (scale.place(values) <= 1))
    assert 2 <= len(scale.ticks) == len(scale.labels) <= 10
    assert np.all((scale.place(scale.ticks) >= 0) & (scale.place(scale.ticks) <= 1))
    assert len(set(scale.labels)) == len(scale.labels)


def test_a_label_with_its_note_is_the_value_of_its_tick() -> None:
    scale = linear_scale([np.array([1e-8, 1.1e-8])], 8)
    factor = float(scale.note.replace("\N{MINUS SIGN}", "-"))
    read = [factor * float(label) for label in scale.labels]
    assert read == pytest.approx(scale.ticks)


@pytest.mark.parametrize("values", [[1e-3], [1e-3, 1e-3], [2e-4, 1e-3], [0.07, 5.0]])
def test_all_values_lie_on_a_logarithmic_axis_and_its_labels_are_plain(values: list[float]) -> None:
    scale = log_scale([np.array(values)])
    assert np.all((scale.place(values) >= 0) & (scale.place(values) <= 1))
    assert scale.ticks
    assert [float(label) for label in scale.labels] == pytest.approx(scale.ticks)
    assert np.diff(scale.place([0.1, 0.2, 0.4])) == pytest.approx(np.diff(scale.place([1.0, 2.0, 4.0])))


def test_a_single_instant_lies_in_the_middle_of_its_day() -> None:
    at = np.array(["2026-03-01T05:00"], "datetime64[ms]")
    assert date_scale(at).place([date_scale(at).low + 43_200]).tolist() == [0.5]
