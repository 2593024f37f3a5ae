"""Fitting a net: where it runs, how a step is compiled, when it stops, how it goes on after a stop."""
