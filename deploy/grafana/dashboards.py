"""`python -m deploy.grafana.dashboards`: writes deploy/grafana/dashboards/*.json, from what stands here.

Three, for three questions. *City*: does anything wait, and does a citizen notice? *Stages*: why? *Adapters*: whose
system is it? Each number that an alert watches is on one of them, with the alert's own threshold.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.grafana.of_adapters import adapters
from deploy.grafana.of_city import city
from deploy.grafana.of_stages import stages

FOLDER = Path(__file__).parent / "dashboards"


def as_json(dashboard: Dashboard) -> str:
    """What Grafana reads, as it is committed."""
    return json.dumps(dashboard, cls=JSONEncoder, sort_keys=True, indent=1) + "\n"


def files() -> dict[str, str]:
    """File name → its text."""
    found = (city(), stages(), adapters())
    return {f"{one.uid}.json": as_json(one) for one in found}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {FOLDER / name}\n")
