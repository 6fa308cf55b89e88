"""`visionops capacity`: what an installation needs for a load, by measured figures."""

import math
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from visionops_assets.cli.screen import AsJson, console, print_json
from visionops_assets.errors import InvalidRequestError

if TYPE_CHECKING:
    from rich.table import Table

    from visionops_assets.capacity.cost import Cost
    from visionops_assets.capacity.demand import Demand
    from visionops_assets.capacity.limits import Limit
    from visionops_assets.capacity.planning import Figure

BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
WHOLE_FROM = 100
"""Numbers from here on are shown without decimals."""


def capacity(
    media_per_day: Annotated[float, typer.Option(min=0, help="Image files per day.")] = 0.0,
    video_hours: Annotated[
        float, typer.Option(min=0, help="Hours of video per day, besides the images.")
    ] = 0.0,
    predictions_per_second: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Predictions per second on average. Default: one per media file.",
            show_default=False,
        ),
    ] = None,
    retention_days: Annotated[
        float, typer.Option(help="Days that media, frames and rows are kept.")
    ] = 365.0,
    queue_retention_days: Annotated[
        float, typer.Option(min=0, help="Days that the topics keep messages.")
    ] = 7.0,
    replication: Annotated[int, typer.Option(min=1, help="Copies of queue and PostgreSQL.")] = 3,
    peak_factor: Annotated[
        float, typer.Option(min=1, help="The busiest second over the average one.")
    ] = 3.0,
    image_kb: Annotated[float, typer.Option(min=0, help="Size of one image file.")] = 200.0,
    image_megapixels: Annotated[float, typer.Option(min=0, help="Pixels of one image.")] = 1.2288,
    video_mbit_s: Annotated[float, typer.Option(min=0, help="Bit rate of video.")] = 2.0,
    video_megapixels: Annotated[
        float, typer.Option(min=0, help="Pixels of one picture of a video.")
    ] = 0.9216,
    clip_s: Annotated[float, typer.Option(help="Length of a video file.")] = 60.0,
    batch_max_messages: Annotated[
        int, typer.Option(min=1, help="As VISIONOPS_BATCH_MAX_MESSAGES is set.")
    ] = 4_000,
    batch_max_wait_s: Annotated[
        float, typer.Option(help="As VISIONOPS_BATCH_MAX_WAIT_S is set.")
    ] = 30.0,
    network: Annotated[
        str,
        typer.Option("--network", "--model", help="A measured network and frame size."),
    ] = "resnet-tiny-64",
    gpu_inferences_per_second: Annotated[
        float,
        typer.Option(
            help="Images per second of the network on your GPU, by perf_analyzer. We "
            "have not measured it."
        ),
    ] = 2_000.0,
    as_json: AsJson = False,
) -> None:
    """Estimate the pods, storage, queue and databases that a load needs, its limits and its cost.

    Every figure follows from measurements on one machine with 2 cores, or says that it does not.
    JSON has the constants and their sources, too.
    """
    from visionops_assets.capacity.demand import Demand

    if not (media_per_day or video_hours or predictions_per_second):
        said = "Say what is to come: --media-per-day, --video-hours or --predictions-per-second."
        raise InvalidRequestError(said)
    demand = Demand(
        media_per_day=media_per_day,
        video_hours_per_day=video_hours,
        peak_factor=peak_factor,
        retention_days=retention_days,
        queue_retention_days=queue_retention_days,
        replication=replication,
        image_bytes=image_kb * 1e3,
        image_pixels=image_megapixels * 1e6,
        video_bits_per_second=video_mbit_s * 1e6,
        video_pixels=video_megapixels * 1e6,
        clip_s=clip_s,
        batch_max_messages=batch_max_messages,
        batch_max_wait_s=batch_max_wait_s,
        model=network,
        gpu_inferences_per_second=gpu_inferences_per_second,
    )
    if predictions_per_second is None:
        predictions_per_second = demand.files_hz
    _show(replace(demand, predictions_per_second=predictions_per_second), as_json)


def _show(demand: "Demand", as_json: bool) -> None:
    from visionops_assets.capacity.cost import costs_of
    from visionops_assets.capacity.limits import limits_of
    from visionops_assets.capacity.measurements import constants
    from visionops_assets.capacity.planning import figures_of

    figures, limits, costs = figures_of(demand), limits_of(demand), costs_of(demand)
    if as_json:
        answer = {
            "demand": asdict(demand),
            "figures": [asdict(figure) for figure in figures],
            "limits": [asdict(limit) | {"is_exceeded": limit.is_exceeded} for limit in limits],
            "costs": [asdict(cost) for cost in costs],
            "constants": {name: asdict(constant) for name, constant in constants().items()},
        }
        print_json(answer)
        return
    console.print(
        f"{demand.files_per_day:,.0f} media per day ({demand.files_hz:,.1f} /s), "
        f"{demand.predictions_per_second:,.1f} predictions/s; "
        f"planned for {demand.peak_factor:g} times that and {demand.retention_days:g} days."
    )
    console.print(_figure_table(figures))
    console.print(_limit_table(limits))
    console.print(_cost_table(costs))
    console.print(
        "given: by settings or options. measured: within what one machine with 2 cores did. "
        "extrapolated: from there, in proportion. assumed: never measured; see --json for all "
        "constants and their sources."
    )


def _figure_table(figures: "list[Figure]") -> "Table":
    from rich.table import Table

    table = Table("area", "figure", "amount", "basis", "rule", title="To provide")
    area = ""
    for figure in figures:
        shown = _amount(figure.value, figure.unit)
        first = figure.area if figure.area != area else ""
        table.add_row(first, figure.name, shown, figure.basis, figure.because)
        area = figure.area
    return table


def _limit_table(limits: "list[Limit]") -> "Table":
    from rich.table import Table

    table = Table("limit", "load", "available", "basis", "advice", title="Limits, nearest first")
    for limit in limits:
        table.add_row(
            limit.name,
            _amount(limit.load, limit.unit),
            _amount(limit.limit, limit.unit),
            limit.basis,
            f"[bold]{limit.remedy}[/bold]" if limit.is_exceeded else "enough",
        )
    return table


def _cost_table(costs: "list[Cost]") -> "Table":
    from rich.table import Table

    table = Table("driver", "USD per month", "share", title="Cost drivers, at assumed prices")
    for cost in costs:
        table.add_row(cost.driver, f"{cost.usd_per_month:,.0f}", f"{cost.share:.1%}")
    return table


def _amount(value: float, unit: str) -> str:
    """Write a number with its unit: `1.2 TB`, `2,880 /day`, `3`."""
    if unit != "bytes":
        digits = 0 if value >= WHOLE_FROM or value == int(value) else 1
        return f"{value:,.{digits}f} {unit}".rstrip()
    step = min(int(math.log10(value) // 3), len(BYTE_UNITS) - 1) if value >= 1 else 0
    return f"{value / 1_000**step:,.1f} {BYTE_UNITS[step]}"
