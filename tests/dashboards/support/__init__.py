"""Helpers of the dashboard tests: a real InfluxDB, a seeded cohort, and Grafana's macro substitution."""
