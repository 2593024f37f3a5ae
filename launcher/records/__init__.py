"""A run as the store has it: what each job left, and the manifest made from that."""

__all__ = ["categories", "job_record", "manifest", "memory_needs", "progress", "promotion"]
