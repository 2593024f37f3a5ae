"""Exchanges: Binance's archive and REST API, and whatever ccxt knows."""
