"""How good a forecast is, in price, on rows the model never saw. NumPy only."""
