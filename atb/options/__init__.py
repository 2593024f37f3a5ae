"""The options of both commands, where each may be set, and which setting takes precedence."""
