"""A run as the store has it: what each job left, and the manifest made from that."""
