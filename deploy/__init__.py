"""Where Subak runs: the cities, and everything on one machine."""
