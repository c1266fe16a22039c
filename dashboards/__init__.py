"""Grafana dashboards and alerts as code."""
