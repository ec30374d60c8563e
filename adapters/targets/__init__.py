"""How an agency's system is told something: one package a kind, each with its `KIND` (`adapters/kinds.py`)."""
