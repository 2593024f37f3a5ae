"""Jobs done on this machine by forked trainings."""
