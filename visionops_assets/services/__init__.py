"""Long-running processes: ingest, relay, gateway, exporter. No service imports another."""
