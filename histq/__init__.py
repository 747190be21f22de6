"""Historical crypto prices through a durable queue into a table, with no hole nobody knows of."""

__version__ = "0.1.0"
