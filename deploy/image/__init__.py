"""The container image: its Dockerfile, the locks that it installs from, and the question its health check asks."""
