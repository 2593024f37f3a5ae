"""The control loop: what is known of a run's Jobs, what follows from it, and doing that."""
