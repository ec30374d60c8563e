"""The city's dashboard: does anything wait, and does a citizen notice? Here one begins when an alert has woken one."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import Panel, built, quantile, rate


def city() -> Dashboard:
    """Does anything wait, and does a citizen notice?"""
    return built(
        uid="subak-city",
        title="Subak: the city",
        says="Does anything wait, and does a citizen notice? Begin here when an alert has woken you.",
        rows=[
            (
                "Now",
                [
                    Panel(
                        title="Processes that answer",
                        says="Fewer than there should be: a process is down. What it does waits; nothing is lost.",
                        queries=[('sum(up{job="subak"})', "up"), ('count(up{job="subak"})', "known")],
                        width=4,
                        height=5,
                        number=True,
                    ),
                    Panel(
                        title="Oldest record that waits",
                        says="How long a citizen waits. Above a minute: see the row below for which process.",
                        queries=[("max(subak_lag_seconds)", "lag")],
                        unit="s",
                        width=4,
                        height=5,
                        number=True,
                        warn_at=60,
                        bad_at=900,
                    ),
                    Panel(
                        title="Parked cases",
                        says="A decision failed; these cases stand still. `subak parked list`.",
                        queries=[('sum(subak_memory_entries{stage="workflows",kind="parked"})', "parked")],
                        width=4,
                        height=5,
                        number=True,
                        warn_at=1,
                        bad_at=10,
                    ),
                    Panel(
                        title="Deliveries parked",
                        says="An agency's system refused these for good. The adapter says why.",
                        queries=[("sum(subak_deliveries_parked)", "parked")],
                        width=4,
                        height=5,
                        number=True,
                        warn_at=1,
                        bad_at=10,
                    ),
                    Panel(
                        title="Open cases",
                        says="Cases that are not closed.",
                        queries=[("sum(subak_cases_open)", "open")],
                        width=4,
                        height=5,
                        number=True,
                    ),
                    Panel(
                        title="Overdue cases",
                        says="A deadline has passed. Whose: see below, and `subak case list --overdue`.",
                        queries=[("sum(subak_cases_overdue)", "overdue")],
                        width=4,
                        height=5,
                        number=True,
                        warn_at=1,
                    ),
                ],
            ),
            (
                "From agency to agency",
                [
                    Panel(
                        title="End to end",
                        says="From an event's outbox to the inbox of an agency that hears of it.",
                        queries=[
                            (quantile(0.5, "subak_event_end_to_end_seconds"), "half"),
                            (quantile(0.99, "subak_event_end_to_end_seconds"), "99 of 100"),
                        ],
                        unit="s",
                        warn_at=60,
                    ),
                    Panel(
                        title="Waiting, by process",
                        says="Age of the oldest record that waits for each process. Look at the one that grows.",
                        queries=[("max by (process) (subak_lag_seconds)", "{{process}}")],
                        unit="s",
                        warn_at=60,
                        bad_at=900,
                    ),
                    Panel(
                        title="At the door",
                        says="What the gateway did: accepted, duplicate, rejected. Many rejected: an agency sends what "
                        "the city does not take, `subak rejected list`.",
                        queries=[(rate("subak_stage_records_total", "outcome", '{stage="gateway"}'), "{{outcome}}")],
                        unit="ops",
                        stacked=True,
                    ),
                ],
            ),
            (
                "Cases",
                [
                    Panel(
                        title="Open, by agency",
                        says="Who holds the open cases.",
                        queries=[("topk(10, sum by (agency) (subak_cases_open))", "{{agency}}")],
                        stacked=True,
                    ),
                    Panel(
                        title="Overdue, by agency",
                        says="Whose deadlines have passed. Somebody should speak with the agency.",
                        queries=[("topk(10, sum by (agency) (subak_cases_overdue) > 0)", "{{agency}}")],
                    ),
                    Panel(
                        title="Casebook: one SQL transaction",
                        says="Above a second: look at the database. The pages that people read fall behind the log.",
                        queries=[
                            (quantile(0.5, "subak_casebook_batch_seconds"), "half"),
                            (quantile(0.95, "subak_casebook_batch_seconds"), "95 of 100"),
                        ],
                        unit="s",
                        warn_at=1,
                    ),
                    Panel(
                        title="Casebook: events",
                        says="Events put into the tables, by outcome.",
                        queries=[(rate("subak_casebook_events_total", "outcome"), "{{outcome}}")],
                        unit="ops",
                        stacked=True,
                    ),
                    Panel(
                        title="End to end, by type",
                        says="The slowest event types, 95 of 100. One type alone: look at who hears of it.",
                        queries=[
                            (f"topk(10, {quantile(0.95, 'subak_event_end_to_end_seconds', 'type')})", "{{type}}"),
                        ],
                        unit="s",
                    ),
                    Panel(
                        title="Certificates: time that is left",
                        says="Of files, and of what the brokers show. Near nothing: renew it, or all stops at once.",
                        queries=[
                            ("min by (file) (subak_certificate_expires_timestamp_seconds) - time()", "{{file}}"),
                        ],
                        unit="s",
                    ),
                    Panel(
                        title="Signing in: does the provider answer",
                        says="1: it does. 0: nobody can sign in; who is signed in goes on, and events flow.",
                        queries=[("min by (issuer) (subak_identity_provider_up)", "{{issuer}}")],
                    ),
                ],
            ),
        ],
    )
