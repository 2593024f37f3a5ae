"""Jobs done on this machine by forked trainings."""

__all__: list[str] = []
