"""The figures the README quotes, each as a ratio to a named limit. `python -m benchmarks`."""
