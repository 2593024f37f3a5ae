"""What people see of a run: tables and the page."""

__all__ = ["board_rows", "exposition", "guide", "live_table", "metrics", "page", "table", "together"]
