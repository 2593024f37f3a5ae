"""What the parts agree on: words, documents, keys, exit codes. Standard library and pydantic only."""
