"""A real API server of Kubernetes takes the custom resources of every overlay: `make crds`."""
