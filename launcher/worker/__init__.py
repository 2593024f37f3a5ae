"""Jobs done on this machine by forked trainings."""

__all__ = ["backend", "forkserver_client", "log_relay", "run", "worker"]
