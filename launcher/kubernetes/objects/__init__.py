"""The objects of a run: built as plain data, created, and read back."""
