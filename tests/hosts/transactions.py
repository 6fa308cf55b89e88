"""Transactions that a client at one address has open, as PostgreSQL sees them."""

import time

import psycopg

POLL_S = 0.002


class Transactions:
    """Looks at the transactions of one database's clients; a connection of its own."""

    def __init__(self, conninfo: str) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def open_at(self, address: str) -> set[int]:
        """Return the backends that wait for a client at `address`, with rows locked for it."""
        found = self._connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE client_addr = %s"
            # Whoever locks or changes a row gets such an id.
            " AND state = 'idle in transaction' AND backend_xid IS NOT NULL",
            (address,),
        )
        return {pid for (pid,) in found.fetchall()}

    def await_open(self, address: str, within_s: float) -> set[int]:
        """Wait until there is one; return none if there is none in time."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if found := self.open_at(address):
                return found
            time.sleep(POLL_S)
        return set()

    def await_end(self, backend: int, within_s: float) -> float | None:
        """Wait until a backend is gone, and return how long that took; None if it stays."""
        began_at_s = time.monotonic()
        while time.monotonic() < began_at_s + within_s:
            found = self._connection.execute(
                "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'idle in transaction'",
                (backend,),
            )
            if found.fetchone() is None:
                return time.monotonic() - began_at_s
            time.sleep(100 * POLL_S)
        return None
