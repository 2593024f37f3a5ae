"""What a net sees: indicators, feature sets, scaling, and the windows of each part."""
