"""When what is killed: a plan made by a seed alone, so that a run that failed can be planned again.

A moment is a share of the work, not a second: so the kills fall into the midst of it, however slow the machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

BEGIN, END = 0.04, 0.85
"""The part of the work in which somebody is killed."""

TOGETHER = 0.3
"""How often a victim dies with the one before it."""


def plan_of_kills(seed: int, names: Sequence[str], *, each: int = 1) -> list[tuple[float, str]]:
    """(share of the work that is done then, whom): every name `each` times, spread over the work."""
    rng = Random(f"kills/{seed}")
    victims = [name for _ in range(each) for name in rng.sample(list(names), len(names))]
    width = (END - BEGIN) / len(victims)
    moments: list[float] = []
    for place in range(len(victims)):
        together = moments and rng.random() < TOGETHER
        moments.append(moments[-1] if together else BEGIN + (place + rng.random()) * width)
    return list(zip(moments, victims, strict=True))


def carried_out(
    plan: Sequence[tuple[float, str]], progress: Callable[[], float], kill: Callable[[str], bool]
) -> Iterator[str]:
    """Kill when so much is done. Draw upon it often: it gives a word at each draw until all is done.

    Who is down already is killed as soon as it is back.
    """
    for share, name in plan:
        while progress() < share or not kill(name):
            yield f"waiting to kill {name}"
