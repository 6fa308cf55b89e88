"""A client that sends one image again and again: `python -m tests.attacks.attacker`.

A process of its own, with the lowest priority: an attacker's machine is not the one that serves,
and the cost of sending is not to be taken from those who are measured. The request comes as JSON
on standard input, and the process ends with it.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

import httpx

LOWEST = 19


def main() -> None:
    """Send until standard input ends."""
    os.nice(LOWEST)
    asked = json.loads(sys.stdin.readline())
    image = Path(asked["image"]).read_bytes()
    connections = asked["connections"]
    client = httpx.Client(
        headers=asked["headers"],
        trust_env=False,
        timeout=30,
        limits=httpx.Limits(max_connections=connections),
    )

    def attack() -> None:
        while True:
            try:
                is_refused = client.post(asked["url"], content=image).status_code == 429
            except httpx.HTTPError:
                is_refused = True
            if is_refused:
                time.sleep(0.05)

    for _ in range(connections):
        threading.Thread(target=attack, daemon=True).start()
    sys.stdin.read()


main()
