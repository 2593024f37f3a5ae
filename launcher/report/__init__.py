"""What people see of a run: tables and the page."""

__all__ = ["board_rows", "live_table", "page", "table"]
