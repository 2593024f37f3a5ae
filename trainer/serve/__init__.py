"""After a run: champions that forecast at each bar's close, and their export to other programs."""
