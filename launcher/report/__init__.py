"""What people see of a run: tables and the page."""

__all__ = [
    "board_rows",
    "changes",
    "eta",
    "exposition",
    "guide",
    "index",
    "live_table",
    "metrics",
    "page",
    "run_view",
    "table",
    "together",
]
