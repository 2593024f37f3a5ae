"""What people see of a run: tables and the page."""

__all__ = ["live_table", "page", "table"]
