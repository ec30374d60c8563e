"""The city's directory and the cities that come with Subak."""
