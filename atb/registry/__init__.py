"""Which model serves: the gate, the champion's pointer, its history, and how its files are fetched.

Imports contract and storage only, so that ``atb models`` and ``atb-launch`` decide by the same rules.
"""
