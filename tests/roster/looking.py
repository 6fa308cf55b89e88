"""What a stack makes of the services of `tests/roster/toy.py`, once they are added to the list."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.roster.toy import TOY
from visionops_assets.monitoring.server_health import WANTED
from visionops_assets.settings import Settings, heartbeat_file
from visionops_assets.settings.services import address
from visionops_assets.stack import environment, ports, prometheus, servers
from visionops_assets.stack.plan import Plan


class _Well(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class WithToy(Settings):
    """As `settings/services.py` would have it."""

    toy_url: str = address(TOY)


def look(home: Path) -> str:
    """Return what a stack in `home` makes of the two, with a server that answers for the toy."""
    chosen = environment.plan_environment(home / "stack.env", frozenset())
    web = HTTPServer(("127.0.0.1", 0), _Well)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    keys = {"s3_access_key_id": "id", "s3_secret_access_key": "key", "kafka_password": "queue"}
    settings = WithToy.model_validate(
        {"home": home, "toy_url": f"http://127.0.0.1:{web.server_port}", "alerts_key": "a", **keys}
    )
    plan = Plan(settings, chosen, frozenset())
    built = {server.name: server for server in servers.build_servers(plan)}
    toy, ticking = built["toy"], built["ticking"]
    before = ticking.probe(0.0)
    touched = heartbeat_file(settings, "ticking")
    touched.parent.mkdir(parents=True)
    touched.touch()
    found = {
        "default": WithToy.model_fields["toy_url"].default,
        "env": environment.read_env_file(home / "stack.env"),
        "port": [ports.PORTS["toy"].server, chosen["toy"]],
        "commands": [toy.command[1:], ticking.command[1:]],
        "needs": [toy.needs, ticking.needs],
        "secrets": [sorted(toy.env), sorted(ticking.env)],
        "is_well": toy.probe(0.0),
        "beats": [before, ticking.probe(0.0)],
        "scraped": [[t.job, t.address, t.path] for t in prometheus.targets(plan) if t.job == "toy"],
        "measured": sorted({want.name for want in WANTED["toy"]}),
        "beside": [
            server.name
            for server in servers.build_servers(Plan(settings, chosen, frozenset({"toy_url"})))
            if server.is_external
        ],
    }
    web.shutdown()
    web.server_close()
    return json.dumps(found)
