"""A whole city with Docker: compose.yaml, its secrets, one agency's adapter."""
