"""The exporter: what the catalog knows, as Prometheus metrics, read when it is scraped.

Not here: what a process counts by itself (each service has a `/metrics` of its own).
"""
