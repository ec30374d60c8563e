"""The few kinds of panel that the dashboards are made of, so that all of them read alike.

A panel always says in its description what its picture means and what to do when it looks wrong. Its queries name
metrics of `bus/metrics.py` and no others; a test holds them against that module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as shown
from grafana_foundation_sdk.models import dashboard as model

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24
"""Columns of Grafana's grid."""
RATE = "$__rate_interval"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture."""

    title: str
    says: str
    """What it means, and what to do when it looks wrong."""
    queries: Sequence[tuple[str, str]]
    """PromQL, and how its series are named."""
    unit: str = "short"
    """Grafana's unit: s, short, ops, percentunit."""
    width: int = 8
    height: int = 7
    number: bool = False
    """One number in place of a line."""
    stacked: bool = False
    warn_at: float | None = None
    """From here on it is orange."""
    bad_at: float | None = None
    """From here on it is red."""


def quantile(part: float, metric: str, by: str = "", where: str = "") -> str:
    """PromQL: below this value lay `part` of what a histogram saw."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({part}, sum by ({labels}) (rate({metric}_bucket{where}[{RATE}])))"


def rate(metric: str, by: str, where: str = "") -> str:
    """PromQL: how often in a second, by label."""
    return f"sum by ({by}) (rate({metric}{where}[{RATE}]))"


def built(
    *,
    uid: str,
    title: str,
    says: str,
    rows: Sequence[tuple[str, Sequence[Panel]]],
    variables: Iterable[tuple[str, str]] = (),
) -> model.Dashboard:
    """A dashboard of rows of panels, laid out from left to right.

    Args:
        variables: name → the PromQL of `label_values` that fills it.
    """
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(says)
        .tags(["subak"])
        .readonly()
        .timezone("browser")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name, query in variables:
        made = made.with_variable(
            dashboard.QueryVariable(name)
            .label(name.capitalize())
            .datasource(DATASOURCE)
            .query(query)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    top = number = 0
    for name, panels in rows:
        number += 1
        made = made.with_row(dashboard.Row(name).id(number).grid_pos(model.GridPos(h=1, w=WIDTH, x=0, y=top)))
        top += 1
        left = 0
        for panel in panels:
            if left + panel.width > WIDTH:
                left, top = 0, top + panels[0].height
            number += 1
            place = model.GridPos(h=panel.height, w=panel.width, x=left, y=top)
            made = made.with_panel((_number(panel) if panel.number else _lines(panel)).id(number).grid_pos(place))
            left += panel.width
        top += panels[0].height
    return made.build()


def _lines(panel: Panel) -> timeseries.Panel:
    found = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.says)
        .datasource(DATASOURCE)
        .unit(panel.unit)
        .min(0)
        .fill_opacity(30 if panel.stacked else 5)
        .thresholds(_thresholds(panel))
        .legend(
            common.VizLegendOptions()
            .display_mode(shown.LegendDisplayMode.TABLE)
            .placement(shown.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull", "max"])
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(shown.TooltipDisplayMode.MULTI).sort(shown.SortOrder.DESCENDING))
    )
    if panel.stacked:
        found = found.stacking(common.StackingConfig().mode(shown.StackingMode.NORMAL))
    if panel.warn_at is not None:
        found = found.thresholds_style(common.GraphThresholdsStyleConfig().mode(shown.GraphTresholdsStyleMode.DASHED))
    for query in _queries(panel):
        found = found.with_target(query)
    return found


def _number(panel: Panel) -> stat.Panel:
    found = (
        stat.Panel()
        .title(panel.title)
        .description(panel.says)
        .datasource(DATASOURCE)
        .unit(panel.unit)
        .thresholds(_thresholds(panel))
        .color_mode(shown.BigValueColorMode.VALUE)
        .graph_mode(shown.BigValueGraphMode.AREA)
    )
    for query in _queries(panel):
        found = found.with_target(query)
    return found


def _queries(panel: Panel) -> list[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend).ref_id(chr(ord("A") + place))
        for place, (expr, legend) in enumerate(panel.queries)
    ]


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if panel.warn_at is not None:
        steps.append(model.Threshold(value=panel.warn_at, color="orange"))
    if panel.bad_at is not None:
        steps.append(model.Threshold(value=panel.bad_at, color="red"))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)
