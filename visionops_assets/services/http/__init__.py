"""The shared parts of the HTTP services: access, bodies, problems, limits, health, pages."""
