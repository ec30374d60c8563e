"""Grafana's dashboards: what they show stands in code, and the JSON that Grafana reads is made from it."""
