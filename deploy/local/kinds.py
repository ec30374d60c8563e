"""What an earlier Kafka left in a home, and whether one of this kind may go on with it."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

from schemas.failures import Misconfigured

CLUSTER_ID = "cluster-id"
"""The file of several brokers' common id."""


def remembered_ports(home: Path) -> list[int]:
    """The ports of the last run there; none where it is the first."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return [int(port) for port in json.loads((home / "ports.json").read_text(encoding="ascii"))]
    return []


def require_the_same_kind(home: Path, *, brokers: int, secure: bool) -> None:
    """Data that were made secured stay so: an authorizer that is gone lets everybody in. As many brokers stay as many.

    Raises:
        Misconfigured: what lies there is of another kind.
    """
    made_alone = (home / "data" / "meta.properties").exists()
    made_of_several = (home / "1" / "data" / "meta.properties").exists()
    if not (made_alone or made_of_several):
        return
    if made_of_several != (brokers > 1):
        made = len(list(home.glob("[0-9]/data/meta.properties"))) if made_of_several else 1
        raise Misconfigured(
            f"the Kafka in {home} was made with {made} broker{'s' if made > 1 else ''}, and stays so. "
            f"Start it with --brokers {made}, or forget its data with --fresh."
        )
    made_secured = (home / "security").exists()
    if made_secured != secure:
        raise Misconfigured(
            f"the Kafka in {home} was made {'secured' if made_secured else 'in plaintext'}, and stays so. "
            f"Start it {'with' if made_secured else 'without'} --secure, or forget its data with --fresh."
        )


def forget_kinds(home: Path) -> None:
    """Forget what other brokers left there: another number of them, and who might speak to them."""
    shutil.rmtree(home / "security", ignore_errors=True)
    (home / CLUSTER_ID).unlink(missing_ok=True)
    for other in home.glob("[0-9]"):
        shutil.rmtree(other / "data", ignore_errors=True)
