"""One training, from a spec to a committed result."""
