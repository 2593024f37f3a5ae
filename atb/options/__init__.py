"""How both commands are told what to do: options, where each may be set, and which setting holds."""
