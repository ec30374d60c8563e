"""When what is killed: a plan made by a seed alone, so that a run that failed can be planned again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from random import Random


def plan_of_kills(seed: int, names: Sequence[str], *, seconds: float, each: int = 1) -> list[tuple[float, str]]:
    """(seconds from the start, whom): every name `each` times, one after the other, at moments spread over the time.

    Each kill falls somewhere into a slice of its own, so that several processes may be down at once, but not all.
    """
    rng = Random(f"kills/{seed}")
    victims = [name for _ in range(each) for name in rng.sample(list(names), len(names))]
    width = seconds / len(victims)
    return [((place + rng.random()) * width, name) for place, name in enumerate(victims)]


def carried_out(plan: Sequence[tuple[float, str]], kill: Callable[[str], None]) -> Iterator[str]:
    """Kill when it is time. Draw upon it often: it gives a word at each draw until all is done."""
    began = time.monotonic()
    for moment, name in plan:
        while time.monotonic() - began < moment:
            yield "waiting"
        kill(name)
        yield name
