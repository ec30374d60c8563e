"""The console: what an operator sees of the whole bus in a browser, and the few acts that repair it."""
