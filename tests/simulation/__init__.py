"""One night in one process on virtual time: the launcher's own code against a world whose faults follow one seed."""
