"""Months of bars kept in the store, so that only what is new is fetched."""
