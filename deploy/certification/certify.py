"""Runs all trials, one after the other, and says what became of each."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from adapters.config import AdapterConfig, ServedAgency
from bus.city import City
from deploy.certification.stand import Failed, Stand
from deploy.certification.trials import TRIALS, Trial
from schemas.failures import Misconfigured


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one trial."""

    name: str
    promise: str
    passed: bool
    seconds: float
    seen: str = ""
    """What was seen instead of what was promised."""


async def certify(
    city: City, agency: ServedAgency, *, city_name: str, trials: list[Trial] | None = None
) -> AsyncIterator[Result]:
    """The results, as they come.

    Raises:
        Misconfigured: the trials cannot begin; says why.
    """
    with tempfile.TemporaryDirectory(prefix="subak-certification-") as folder:
        stand = Stand(city, agency, Path(folder), city_name=city_name)
        async with stand.standing():
            try:
                await stand.start_adapter()
            except Failed as failed:
                raise Misconfigured(f"the trials cannot begin: {failed}") from failed
            for trial in TRIALS if trials is None else trials:
                began = time.monotonic()
                try:
                    await trial.run(stand)
                    seen = ""
                except Failed as failed:
                    seen = str(failed)
                except Exception as error:
                    seen = f"{type(error).__name__}: {error}"
                yield Result(trial.name, trial.promise, not seen, round(time.monotonic() - began, 1), seen)
                if seen:
                    await stand.recover()


def chosen(config: AdapterConfig, agency: str | None) -> ServedAgency:
    """The agency of the file that is looked at.

    Raises:
        Misconfigured: it is not in the file.
    """
    if agency is None:
        return config.agencies[0]
    for found in config.agencies:
        if found.id == agency:
            return found
    known = ", ".join(found.id for found in config.agencies)
    raise Misconfigured(f"this adapter does not serve {agency}, but {known}. Name one of them.")


def certificate(path: Path, city: City, agency: ServedAgency, results: list[Result]) -> dict[str, Any]:
    """What to keep: what was tried with what, and what it withstood."""
    return {
        "passed": all(result.passed for result in results),
        "agency": agency.id,
        "city": city.id,
        "adapter_file_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "subak": version("subak"),
        "tried_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "trials": [asdict(result) for result in results],
    }
