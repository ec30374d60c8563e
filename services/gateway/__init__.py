"""The gateway: the one door into the city's log."""
