"""Grafana dashboards, data source and provisioning as code."""
