"""Our services, each declared once: processes, ports, probes, metrics and manifests follow."""
