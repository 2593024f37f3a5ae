"""The API server: requests built, sent and parsed. Knows nothing of runs."""
