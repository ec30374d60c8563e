"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

TURNS = 1_000_000


def python_speed() -> float:
    """Millions of turns of a plain loop in a second, the best of three: a shared machine is not always as fast."""
    best = float("inf")
    for _ in range(3):
        began, total = time.perf_counter(), 0
        for turn in range(TURNS):
            total += turn * turn % 7
        best = min(best, time.perf_counter() - began)
    return round(TURNS / best / 1e6, 2)


def machine() -> dict[str, Any]:
    """Processor and its speed, cores, memory and versions, as a reader needs them to judge a number."""
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "python_loop_millions_per_second": python_speed(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("aiokafka", "faststream", "pydantic", "msgspec", "uvloop")},
    }
