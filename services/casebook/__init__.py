"""The casebook: the readable truth of every case, in SQL, made from the city's log alone."""
