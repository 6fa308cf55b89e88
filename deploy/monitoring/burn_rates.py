"""Error budgets: how fast they burn."""

from panels import Query

BURN_RATES = "1 uses the budget up in 30 days. The alerts: 14.4 over 1 h, 6 over 6 h, 1 over 3 d."


def burn(slo: str, budget: float) -> list[Query]:
    """Return how many times faster than it may the error budget of an objective burns."""
    return [
        Query(f'visionops:slo_errors:ratio_rate{window}{{slo="{slo}"}} / {budget:g}', window)
        for window in ("5m", "1h", "6h", "3d")
    ]
