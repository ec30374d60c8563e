"""The router: who must hear of what."""
