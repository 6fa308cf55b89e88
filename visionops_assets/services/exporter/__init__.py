"""The exporter: figures of the catalog as Prometheus metrics, read per scrape.

Not here: the counts of a process itself (each service has a `/metrics` of its own).
"""
