"""What the pages show, as plain values for their templates, and the charts on them."""
