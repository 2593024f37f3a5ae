"""A run whose jobs are done by workers: one Indexed Job, followed through the store."""
