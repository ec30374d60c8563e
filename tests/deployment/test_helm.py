"""The chart, rendered by Helm's own engine, is what Kubernetes takes, and runs what the code has."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from adapters.config import AdapterConfig
from bus.settings import Settings, read_settings
from bus.topics import STAGES
from tests.support.checks import check, needs_checks
from tests.support.commands import problem_of

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/subak"
KUBERNETES = ("1.30", "1.37")
"""An old one that clusters still run, and the newest."""

ADAPTER = """[adapter]
name = "wards"
listen = "0.0.0.0:8460"
database = "sqlite:////var/lib/subak/adapter.sqlite3"

[[agency]]
id = "public-works"
token_file = "/run/secrets/adapter/token"

[agency.kafka]
credentials_file = "/run/secrets/adapter/kafka.toml"
"""

CITY: dict[str, Any] = {
    "kafka": {"bootstrapServers": "kafka-1:9093,kafka-2:9093"},
    "console": {"hosts": ["console.city.example"], "from": [{"podSelector": {"matchLabels": {"app": "proxy"}}}]},
}
FULL: dict[str, Any] = {
    **CITY,
    "city": {"configMap": "our-city"},
    "image": {"repository": "registry.example/subak", "tag": "1", "pullSecrets": [{"name": "registry"}]},
    "adapters": [{"name": "wards", "secret": "subak-adapter-wards", "config": ADAPTER}],
    "adapterDefaults": {
        "storageClassName": "fast",
        "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443, "protocol": "TCP"}]}],
    },
    "autoscaling": {"kind": "external"},
    "monitoring": {"podMonitor": True},
    "settings": {"SUBAK_LOG_LEVEL": "debug"},
    "oidc": {
        "issuer": "https://login.city.example",
        "consoleUrl": "https://console.city.example",
        "settings": {"SUBAK_OIDC_ROLES_CLAIM": "realm_access.roles"},
    },
}

pytestmark = needs_checks


def rendered(values: dict[str, Any]) -> dict[str, Any]:
    ran = check("python", ROOT / "tests/support/helm.py", CHART, *KUBERNETES, given=json.dumps(values))
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.fixture(scope="module")
def full() -> list[dict[str, Any]]:
    found = rendered(FULL)
    assert found["error"] is None
    manifests: list[dict[str, Any]] = found["manifests"]
    return manifests


def containers(manifests: list[dict[str, Any]]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Name of the workload → its pod and its only container."""
    workloads = [one for one in manifests if one["kind"] in ("Deployment", "StatefulSet")]
    pods = {one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in workloads}
    assert all(len(pod["containers"]) == 1 for pod in pods.values())
    return {name: (pod, pod["containers"][0]) for name, pod in pods.items()}


@pytest.mark.parametrize(
    "values",
    [
        CITY,
        FULL,
        {**FULL, "autoscaling": {"kind": "keda"}, "networkPolicies": False},
        {"kafka": {"bootstrapServers": "k:9092", "securityProtocol": "PLAINTEXT"}, "console": {"enabled": False}},
    ],
    ids=["least", "full", "keda", "plain"],
)
def test_helm_finds_nothing_and_kubernetes_takes_all_of_it(values: dict[str, Any]) -> None:
    found = rendered(values)
    assert found["lint"] == []
    assert found["error"] is None
    assert len(found["manifests"]) > 5
    assert found["invalid"] == []


def test_a_manifest_that_kubernetes_would_refuse_is_seen() -> None:
    found = rendered({**CITY, "stages": {"gateway": {"resources": {"limit": {"memory": "1Gi"}}}}})
    assert any("limit" in problem for problem in found["invalid"]), found["invalid"]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "bootstrapServers"),
        ({"kafka": {"bootstrapServers": "kafka"}}, "bootstrapServers"),
        ({"kafka": {"bootstrapServers": "k:1"}}, "under which names do people come"),
        ({**CITY, "oidc": {"issuer": "https://login.example"}}, "where do people find the console"),
        ({**CITY, "oidc": {"issuer": "http://login.example"}}, "issuer"),
        ({**CITY, "stages": {"gateway": {"replicas": 13}}}, "only kafka.partitions (12) members can work"),
        ({**CITY, "stages": {"gatway": {"replicas": 1, "resources": {}}}}, "gatway"),
        ({**CITY, "autoscaling": {"kind": "hpa"}}, "kind"),
        ({**CITY, "settings": {"LOG_LEVEL": "debug"}}, "LOG_LEVEL"),
    ],
)
def test_wrong_values_are_told_before_anything_is_installed(values: dict[str, Any], told: str) -> None:
    assert told in (rendered(values)["error"] or "")


def test_every_process_is_there_and_runs_a_command_that_there_is(full: list[dict[str, Any]]) -> None:
    found = containers(full)
    names = {f"city-{name}" for name in (*STAGES, "casebook", "console", "adapter-wards")}
    assert set(found) == names
    for name, (_, container) in found.items():
        assert problem_of(container["args"]) is None, name


def test_every_process_gets_settings_that_there_are_and_can_read(
    full: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "settings.toml").write_text('database_url = "postgresql+psycopg://subak@db/casebook"\n')
    known = {f"SUBAK_{name.upper()}" for name in Settings.model_fields}
    for name, (pod, container) in containers(full).items():
        given = {one["name"]: one["value"] for one in container["env"]}
        assert set(given) <= known, f"{name}: {set(given) - known}"
        assert pod["enableServiceLinks"] is False, "Kubernetes would add SUBAK_..._PORT, which is no setting"
        if "SUBAK_SETTINGS" in given:
            given["SUBAK_SETTINGS"] = str(tmp_path / Path(given["SUBAK_SETTINGS"]).name)
        with monkeypatch.context() as patched:
            for key, value in given.items():
                patched.setenv(key, value)
            settings = read_settings()
        assert (settings.kafka.partitions, settings.kafka.replication_factor, settings.log_level) == (12, 3, "debug")
        assert settings.kafka_security.protocol == "SASL_SSL"
        mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
        for value in given.values():
            if value.startswith("/run/secrets/"):
                assert str(Path(value).parent) in mounts, f"{name}: {value} is nowhere mounted"


def test_probes_ask_the_paths_that_the_processes_serve(full: list[dict[str, Any]]) -> None:
    served = re.findall(r'Route\("(/health/\w+)"', (ROOT / "bus/health.py").read_text("utf-8"))
    assert set(served) == {"/health/live", "/health/ready"}
    for _, container in containers(full).values():
        paths = {
            kind: container[kind]["httpGet"]["path"] for kind in ("livenessProbe", "readinessProbe", "startupProbe")
        }
        assert paths == {
            "livenessProbe": "/health/live",
            "readinessProbe": "/health/ready",
            "startupProbe": "/health/ready",
        }
        assert container["ports"][0]["name"] == container["livenessProbe"]["httpGet"]["port"]


def test_every_process_is_held_short_and_has_a_limit(full: list[dict[str, Any]]) -> None:
    for name, (pod, container) in containers(full).items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["automountServiceAccountToken"] is False, name
        held = container["securityContext"]
        assert held["readOnlyRootFilesystem"] is True, name
        assert held["allowPrivilegeEscalation"] is False, name
        assert held["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"]["memory"], name


def test_no_secret_stands_in_a_manifest(full: list[dict[str, Any]]) -> None:
    assert not [one for one in full if one["kind"] == "Secret"]
    named = {
        volume["secret"]["secretName"]
        for pod, _ in containers(full).values()
        for volume in pod["volumes"]
        if "secret" in volume
    }
    users = {f"subak-kafka-{user}" for user in (*STAGES, "casebook", "console")}
    assert named == users | {"subak-kafka-ca", "subak-casebook-database", "subak-adapter-wards", "subak-oidc-console"}


def test_each_pod_has_walls_around_it(full: list[dict[str, Any]]) -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in full if one["kind"] == "NetworkPolicy"}
    assert set(policies) == {"city-subak", "city-casebook", "city-console", "city-adapter-wards"}
    assert all(set(spec["policyTypes"]) == {"Ingress", "Egress"} for spec in policies.values())
    ports = {port["port"] for rule in policies["city-subak"]["egress"] for port in rule["ports"]}
    assert ports == {53, 9093}
    (into_casebook,) = policies["city-casebook"]["ingress"]
    component = into_casebook["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
    assert component == "console"
    for name in ("city-casebook", "city-console"):
        assert {443} <= {port["port"] for rule in policies[name]["egress"] for port in rule["ports"]}, "the issuer"
    assert policies["city-adapter-wards"]["ingress"] == []  # nobody was named, so nobody reaches it


def test_each_shared_stage_keeps_a_member_while_nodes_are_drained(full: list[dict[str, Any]]) -> None:
    budgets = [one for one in full if one["kind"] == "PodDisruptionBudget"]
    assert {one["metadata"]["name"] for one in budgets} == {f"city-{stage}" for stage in STAGES}
    assert all(one["spec"]["maxUnavailable"] == 1 for one in budgets)


@pytest.mark.parametrize(("kind", "object_kind"), [("keda", "ScaledObject"), ("external", "HorizontalPodAutoscaler")])
def test_a_stage_gets_members_by_lag_and_never_more_than_partitions(kind: str, object_kind: str) -> None:
    values = {**CITY, "kafka": {**CITY["kafka"], "partitions": 4}, "autoscaling": {"kind": kind, "replicasMax": 9}}
    manifests = rendered(values)["manifests"]
    scaled = [one for one in manifests if one["kind"] == object_kind]
    assert len(scaled) == len(STAGES)
    for one in scaled:
        assert one["spec"].get("maxReplicaCount", one["spec"].get("maxReplicas")) == 4
        assert "subak_lag_seconds" in json.dumps(one)
    stages = [one for one in manifests if one["metadata"].get("name") in {f"city-{stage}" for stage in STAGES}]
    assert all("replicas" not in one["spec"] for one in stages if one["kind"] == "Deployment")


def test_an_adapter_gets_its_file_as_it_was_written(
    full: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config,) = [one for one in full if one["kind"] == "ConfigMap"]
    assert tomllib.loads(config["data"]["adapter.toml"]) == tomllib.loads(ADAPTER)
    (tmp_path / "token").write_text("a token that is long enough")
    (tmp_path / "kafka.toml").write_text('user = "u"\npassword = "p"\n')
    (tmp_path / "adapter.toml").write_text(
        config["data"]["adapter.toml"].replace("/run/secrets/adapter", str(tmp_path))
    )
    assert AdapterConfig.load(tmp_path / "adapter.toml").port == 8460
