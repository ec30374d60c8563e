"""The console, on real parts."""
