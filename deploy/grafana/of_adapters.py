"""The adapters' dashboard: each agency's side, to see whose system it is."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import Panel, built, quantile, rate

OF_AGENCY = '{agency=~"$agency"}'


def adapters() -> Dashboard:
    """Whose system is it?"""
    return built(
        uid="subak-adapters",
        title="Subak: adapters",
        says="Each agency's side: what it said and what waits for the bus, what it must hear and has not taken.",
        variables=[("agency", "label_values(subak_outbox_depth, agency)")],
        rows=[
            (
                "From the agency",
                [
                    Panel(
                        title="Oldest event in the outbox",
                        says="The bus is away, or refuses this adapter: see its log. The events are on disk.",
                        queries=[(f"subak_outbox_oldest_age_seconds{OF_AGENCY}", "{{agency}}")],
                        unit="s",
                        warn_at=300,
                    ),
                    Panel(
                        title="Events in the outbox",
                        says="At `outbox_rows_max` (a million) the adapter answers 503.",
                        queries=[(f"subak_outbox_depth{OF_AGENCY}", "{{agency}}")],
                        bad_at=500_000,
                    ),
                    Panel(
                        title="Events published",
                        says="An agency whose line ends has gone silent: its system, or the way to its adapter.",
                        queries=[(rate("subak_relay_records_total", "agency", OF_AGENCY), "{{agency}}")],
                        unit="ops",
                    ),
                    Panel(
                        title="Requests, by status",
                        says="Many 422: a mapping in the agency's system is wrong; each answer says what.",
                        queries=[
                            (rate("subak_source_requests_total", "agency, status", OF_AGENCY), "{{agency}} {{status}}")
                        ],
                        unit="ops",
                        stacked=True,
                    ),
                    Panel(
                        title="Files and rows",
                        says="Refused rows stand in the errors file beside the file, with their reasons.",
                        queries=[
                            (
                                rate("subak_source_files_total", "agency, outcome", OF_AGENCY),
                                "{{agency}} files {{outcome}}",
                            ),
                            (
                                rate("subak_source_rows_total", "agency, outcome", OF_AGENCY),
                                "{{agency}} rows {{outcome}}",
                            ),
                        ],
                        unit="ops",
                    ),
                    Panel(
                        title="Relay taken over",
                        says="Many: two adapters run for one agency. Stop one.",
                        queries=[(rate("subak_relay_fenced_total", "agency", OF_AGENCY), "{{agency}}")],
                        unit="ops",
                    ),
                ],
            ),
            (
                "To the agency",
                [
                    Panel(
                        title="Oldest event in the inbox",
                        says="The agency's system is away or refuses. Nothing is lost; its cases are late.",
                        queries=[(f"subak_inbox_oldest_age_seconds{OF_AGENCY}", "{{agency}}")],
                        unit="s",
                        warn_at=3600,
                    ),
                    Panel(
                        title="Events in the inbox",
                        says="What the agency has not taken.",
                        queries=[(f"subak_inbox_waiting{OF_AGENCY}", "{{agency}}")],
                    ),
                    Panel(
                        title="Calls, by outcome",
                        says="Retried: the system is away. Refused: it answers 4xx; look at what it says.",
                        queries=[
                            (rate("subak_deliveries_total", "agency, outcome", OF_AGENCY), "{{agency}} {{outcome}}")
                        ],
                        unit="ops",
                        stacked=True,
                    ),
                    Panel(
                        title="Duration of a call",
                        says="95 of 100. Slow calls limit how fast an agency catches up.",
                        queries=[(quantile(0.95, "subak_delivery_seconds", "agency", OF_AGENCY), "{{agency}}")],
                        unit="s",
                    ),
                    Panel(
                        title="Parked",
                        says="Refused for good: mend the agency's system, then replay.",
                        queries=[(f"subak_deliveries_parked{OF_AGENCY}", "{{agency}}")],
                        warn_at=1,
                    ),
                    Panel(
                        title="Redeliveries caught",
                        says="Events that the inbox had already. Some at a restart are as they should be.",
                        queries=[(rate("subak_inbox_duplicates_total", "agency", OF_AGENCY), "{{agency}}")],
                        unit="ops",
                    ),
                ],
            ),
        ],
    )
