"""Builds the page of ports: who may use each, from the list that tests hold the machine against."""

from reference_pages.markdown import code, page, table
from visionops_assets.roster.service import Guard
from visionops_assets.stack.ports import PORTS

_INTRODUCTION = """\
`visionops up` opens these ports, all on loopback: other machines reach none of them. Other users of
this machine and the web pages that its browsers show could, so each port has a guard. A taken
number is replaced by a free one; `<home>/stack.env` has the numbers in use. On a cluster a network
policy says who may connect to which port."""

_GUARDS = {
    Guard.CREDENTIAL: "does nothing without a key or a certificate; at most it says that it is "
    "well",
    Guard.OWN_PAGES: "refuses requests for other hosts and of web pages of elsewhere; other users "
    "of this machine may use it as far as the reason does not name a key",
    Guard.EXEMPT: "has neither; the reason says why that is borne",
}


def build() -> str:
    """Return the page: the guards, then a row per port."""
    guards = table(["guard", "the port"], [[str(guard), text] for guard, text in _GUARDS.items()])
    rows = [
        [str(port.number), port.server, code(name), str(port.guard), port.reason]
        for name, port in PORTS.items()
    ]
    ports = table(["port", "server", "name", "guard", "reason"], rows)
    return page("Ports", _INTRODUCTION, guards, ports)
