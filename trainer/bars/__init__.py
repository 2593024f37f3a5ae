"""Where bars come from, how they are checked, and the bar cache in the store."""
