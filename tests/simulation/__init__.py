"""One night in one process on virtual time: the launcher's own code, with faults that follow one seed."""
