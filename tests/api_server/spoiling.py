"""Objects that break a rule: an API server that takes one checks nothing. Pure."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tests.deploy.manifests import Manifest

REMOVED = object()


class Spoiled(NamedTuple):
    """A change of one object of a kind, and a part of the refusal that it must meet.

    `place` names the fields around the value, with dots; a number is the place in a list.
    """

    kind: str
    place: str
    value: Any
    refusal: str


UNKNOWN = 'unknown field "spec.mistyped"'
_LISTENER = {"name": "again", "port": 80, "protocol": "HTTP"}
_REDIRECT = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
_TLS = {"certificateRefs": [{"name": "certificate"}]}
BY_RULE = (
    Spoiled("Gateway", "spec.listeners", [_LISTENER, _LISTENER], "listener names are unique"),
    Spoiled("Gateway", "spec.listeners.0", _LISTENER | {"tls": _TLS}, "only HTTPS and TLS have"),
    Spoiled(
        "Gateway",
        "spec.listeners.0",
        _LISTENER | {"protocol": "HTTPS", "tls": _TLS | {"mode": "Passthrough"}},
        "HTTPS ends at the gateway",
    ),
    Spoiled(
        "HTTPRoute",
        "spec.rules.0.timeouts",
        {"request": "1s", "backendRequest": "2s"},
        "backendRequest is no longer than request",
    ),
    Spoiled("HTTPRoute", "spec.rules.0.filters", [_REDIRECT], "redirected has no backends"),
    Spoiled("HTTPRoute", "spec.rules.0.backendRefs.0.port", REMOVED, "a Service needs a port"),
    Spoiled("GRPCRoute", "spec.rules.0.backendRefs.0.port", REMOVED, "a Service needs a port"),
    Spoiled("Database", "spec.name", "another", "name does not change"),
    Spoiled("Database", "spec.name", "postgres", "name is reserved"),
    Spoiled(
        "Cluster",
        "spec.postgresql.synchronous",
        {"method": "any", "number": 1, "dataDurability": "preferred", "standbyNamesPre": ["a"]},
        "names no standbys",
    ),
)
"""Breaches of each rule of `rules.yaml`."""


def breaches(manifests: Iterable[Manifest]) -> Iterator[tuple[Manifest, str]]:
    """Yield spoiled copies of the first object of each kind, and what the refusals must say."""
    first: dict[str, Manifest] = {}
    for manifest in manifests:
        first.setdefault(manifest["kind"], manifest)
    for manifest in first.values():
        yield changed(manifest, "spec.mistyped", "x"), UNKNOWN
    for kind, place, value, refusal in BY_RULE:
        if kind in first:
            yield changed(first[kind], place, value), refusal


def changed(manifest: Manifest, place: str, value: Any) -> Manifest:
    """Return a copy of an object with another value in one place, or without it."""
    copied = copy.deepcopy(manifest)
    *around, last = (int(name) if name.isdigit() else name for name in place.split("."))
    inner: Any = copied
    for name in around:
        inner = inner[name]
    if value is REMOVED:
        del inner[last]
    else:
        inner[last] = value
    return copied
