"""A run as the store has it: what each job left, and the manifest made from that."""

__all__ = [
    "attempt_facts",
    "board",
    "categories",
    "job_record",
    "leases",
    "listing",
    "liveness",
    "manifest",
    "memory_needs",
    "progress",
    "promotion",
    "run_record",
    "store_time",
]
