"""The shared language of the city's agencies."""
