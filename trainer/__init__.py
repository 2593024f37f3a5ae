"""The trainer: one price model for one symbol and preset, from bars to a verified bundle."""
