"""Measurements. Each is a script: ``python -m benchmarks.NAME``; the numbers in the documents come from these."""
