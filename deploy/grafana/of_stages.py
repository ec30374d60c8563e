"""The stages' dashboard: gateway, workflows and router from inside, to see why one waits."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.panels import Panel, built, quantile, rate

OF_STAGE = '{stage=~"$stage"}'


def stages() -> Dashboard:
    """Why does a stage wait?"""
    return built(
        uid="subak-stages",
        title="Subak: stages",
        says="Gateway, workflows and router from inside: transactions, batches, memory.",
        variables=[("stage", "label_values(subak_stage_records_total, stage)")],
        rows=[
            (
                "Work",
                [
                    Panel(
                        title="Records, by outcome",
                        says="What became of the records that a stage handled.",
                        queries=[
                            (rate("subak_stage_records_total", "stage, outcome", OF_STAGE), "{{stage}} {{outcome}}")
                        ],
                        unit="ops",
                        stacked=True,
                    ),
                    Panel(
                        title="Records that wait",
                        says="Grows for minutes: too slow, or standing still. See its log, then start another member.",
                        queries=[('sum by (process) (subak_lag_records{process=~"$stage"})', "{{process}}")],
                    ),
                    Panel(
                        title="Delay, by partition",
                        says="How old the newest record of a transaction was. One alone: a busy case, a slow member.",
                        queries=[
                            (f"subak_stage_delay_seconds{OF_STAGE}", "{{stage}}/{{partition}}"),
                        ],
                        unit="s",
                        warn_at=60,
                    ),
                ],
            ),
            (
                "Transactions",
                [
                    Panel(
                        title="Committed",
                        says="Stands at zero while records wait: the process lives and does nothing; restart it.",
                        queries=[(rate("subak_transactions_committed_total", "stage", OF_STAGE), "{{stage}}")],
                        unit="ops",
                    ),
                    Panel(
                        title="Aborted and fenced",
                        says="Some while a broker restarts or members change. All the time: brokers are slow, or two "
                        "processes think that they are the same one.",
                        queries=[
                            (rate("subak_transactions_aborted_total", "stage", OF_STAGE), "{{stage}} aborted"),
                            (rate("subak_transactions_fenced_total", "stage", OF_STAGE), "{{stage}} fenced"),
                        ],
                        unit="ops",
                    ),
                    Panel(
                        title="Duration",
                        says="From the first record written to the commit. Above a second: look at the brokers' disks.",
                        queries=[
                            (quantile(0.5, "subak_transaction_seconds", "stage", OF_STAGE), "{{stage}} half"),
                            (quantile(0.99, "subak_transaction_seconds", "stage", OF_STAGE), "{{stage}} 99 of 100"),
                        ],
                        unit="s",
                        warn_at=1,
                    ),
                ],
            ),
            (
                "Batches and memory",
                [
                    Panel(
                        title="Records in a transaction",
                        says="Near SUBAK_BATCH_RECORDS_MAX: the stage works at its limit.",
                        queries=[(quantile(0.95, "subak_batch_records", "stage", OF_STAGE), "{{stage}} 95 of 100")],
                    ),
                    Panel(
                        title="Records written",
                        says="What a stage said itself.",
                        queries=[(rate("subak_stage_outputs_total", "stage", OF_STAGE), "{{stage}}")],
                        unit="ops",
                    ),
                    Panel(
                        title="Memory",
                        says="What is remembered, by kind: live, closed and parked cases; the ids of the last day.",
                        queries=[
                            (f"sum by (stage, kind) (subak_memory_entries{OF_STAGE})", "{{stage}} {{kind}}"),
                        ],
                    ),
                ],
            ),
        ],
    )
