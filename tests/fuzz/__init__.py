"""Made-up input at every place where input comes in: a few examples in the suite, thousands by ``make fuzz``."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from atb.errors import AtbError


def few(share: int = 10) -> settings:
    """The profile's examples, divided: what runs whole commands takes longer than what reads one text."""
    slow = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    number = max(1, settings().max_examples // share)
    return settings(max_examples=number, deadline=None, suppress_health_check=slow)


def check_line(error: AtbError) -> None:
    """Fails where the error is not one printable line of some length."""
    assert str(error).isprintable()
    assert len(str(error)) < 600
