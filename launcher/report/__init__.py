"""What people see of a run: tables and the page."""

__all__ = ["board_rows", "guide", "live_table", "page", "table", "together"]
