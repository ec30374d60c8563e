"""Run by the Python of `.tools/checks`: Helm's own engine lints and renders the chart, Kubernetes's schemas judge it.

Takes values as JSON on standard input, and writes {"lint": [...], "error": ..., "manifests": [...], "invalid": [...]}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import helm_python  # type: ignore[import-not-found,unused-ignore]
import kubernetes_validate  # type: ignore[import-not-found,unused-ignore]
import yaml

OWN_KINDS = ("ScaledObject", "PodMonitor")
"""Of KEDA and of the Prometheus operator: Kubernetes itself has no schema of them."""


def main(folder: str, versions: list[str]) -> None:
    """Lint, render, validate."""
    values = json.load(sys.stdin)
    found: dict[str, Any] = {"error": None, "manifests": [], "invalid": []}
    report = helm_python.lint(folder, values, strict=True, namespace="subak")
    found["lint"] = [message["error"] for message in report["messages"] if message["severity"] > 1]
    try:
        with helm_python.Chart.load(folder) as chart:
            chart.validate_schema(chart.merge_values(values))
            files = chart.render(values, name="city", namespace="subak")
        texts = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
        found["manifests"] = [one for text in texts for one in yaml.safe_load_all(text) if one]
    except helm_python.HelmError as error:
        found["error"] = str(error)
    for manifest in found["manifests"]:
        for version in versions:
            if manifest["kind"] not in OWN_KINDS:
                try:
                    kubernetes_validate.validate(manifest, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    where = ".".join(map(str, error.path))
                    found["invalid"].append(f"{version} {manifest['kind']} {where}: {error.message}")
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
