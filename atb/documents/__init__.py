"""The documents in the store: each a frozen pydantic model with a schema version."""
