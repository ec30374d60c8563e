"""The shared language: what it admits, what it refuses and says, and what may change."""
