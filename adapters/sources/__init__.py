"""How an agency's system says something: one package a kind, each with its `KIND` (`adapters/kinds.py`)."""
