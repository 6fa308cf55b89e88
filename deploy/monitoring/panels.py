"""How panels look: one datasource variable, units, thresholds, and a grid that adds up to 24."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    timeseries,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

Unit = Literal[
    "short", "percentunit", "s", "bytes", "reqps", "Bps", "none", "dateTimeAsIso", "bool_yes_no"
]
Width = Literal[4, 6, 8, 12, 24]

GREEN, ORANGE, RED = "#2f855a", "#dd6b20", "#b3261e"
DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8
Panel = Builder[models.Panel]


@dataclass(frozen=True)
class Query:
    """An expression, and what its series are called: `{{label}}` is the value of a label."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Bounds:
    """Where a value stops being good: from `warn` on, then `bad`; below them if `is_floor`."""

    warn: float
    bad: float
    is_floor: bool = False

    def steps(self) -> list[models.Threshold]:
        """Return the colours by value, from the lowest on."""
        if self.is_floor:
            colours = [(None, RED), (self.bad, ORANGE), (self.warn, GREEN)]
        else:
            colours = [(None, GREEN), (self.warn, ORANGE), (self.bad, RED)]
        return [models.Threshold(value=value, color=colour) for value, colour in colours]


def number(
    title: str,
    query: Query,
    unit: Unit,
    description: str,
    bounds: Bounds | None = None,
    width: Width = 4,
) -> Panel:
    """Show the newest value, coloured by its bounds."""
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(_target(query, 0))
        .unit(unit)
        .reduce_options(reduced)
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .height(STAT_HEIGHT)
        .span(width)
    )
    return panel.thresholds(_thresholds(bounds)) if bounds else panel


def graph(
    title: str,
    queries: Sequence[Query],
    unit: Unit,
    description: str,
    limit: float | None = None,
    width: Width = 8,
    highest: float | None = None,
    is_stacked: bool = False,
) -> Panel:
    """Draw series over time; `limit` is drawn as a dashed line."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .unit(unit)
        .min(0)
        .line_width(2)
        .fill_opacity(25 if is_stacked else 5)
        .show_points(common_models.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .height(GRAPH_HEIGHT)
        .span(width)
    )
    for index, query in enumerate(queries):
        panel = panel.with_target(_target(query, index))
    if highest is not None:
        panel = panel.max(highest)
    if is_stacked:
        normal = common.StackingConfig().mode(common_models.StackingMode.NORMAL)
        panel = panel.stacking(normal)
    if limit is not None:
        style = common.GraphThresholdsStyleConfig().mode(
            common_models.GraphTresholdsStyleMode.DASHED
        )
        panel = panel.thresholds(_thresholds(Bounds(limit, limit))).thresholds_style(style)
    return panel


def bars(
    title: str, query: Query, unit: Unit, description: str, highest: float | None = None
) -> Panel:
    """Show the newest values side by side, one bar per series."""
    panel = (
        bargauge.Panel()
        .title(title)
        .description(description)
        .datasource(DATASOURCE)
        .with_target(_target(query, 0, is_instant=True))
        .unit(unit)
        .min(0)
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .height(GRAPH_HEIGHT)
        .span(8)
    )
    return panel if highest is None else panel.max(highest)


def board(
    uid: str,
    title: str,
    description: str,
    rows: Sequence[tuple[str, Sequence[Panel]]],
    *,
    is_by_model: bool = False,
) -> models.Dashboard:
    """Lay out a dashboard, row by row; with `is_by_model` one chooses the model, by `$model`."""
    built = (
        dashboard.Dashboard(title)
        .uid(f"visionops-{uid}")
        .description(description)
        .tags(["visionops"])
        .refresh("10s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
    )
    if is_by_model:
        built = built.with_variable(
            dashboard.QueryVariable("model")
            .label("Model")
            .datasource(DATASOURCE)
            .query("label_values(visionops_champion_version, model)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    for row_title, panels in rows:
        built = built.with_row(dashboard.Row(row_title))
        for panel in panels:
            built = built.with_panel(panel)
    return built.build()


def _target(query: Query, index: int, *, is_instant: bool = False) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend)
    target = target.datasource(DATASOURCE)
    target = target.ref_id(chr(ord("A") + index))
    return target.instant() if is_instant else target.range()


def _thresholds(bounds: Bounds) -> dashboard.ThresholdsConfig:
    config = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    return config.steps(bounds.steps())
