"""Upcasting: an old major version's data made new, so that nobody but this module knows that there were older ones.

A new major version comes with one pure function from the version before; longer distances are chained. The city's log
keeps old events as they were sent, for ever: they are made new when they are read.
"""

from __future__ import annotations

from collections.abc import Callable

from schemas.registry import Registry, Upcaster, registry


def upcast(old: str, *, to: str, types: Registry = registry) -> Callable[[Upcaster], Upcaster]:
    """Register the function below it: it makes data of type `old` into data of type `to`.

    The function gets valid data of `old` as JSON has it (a dictionary of its own, without the fields that are null)
    and gives data of `to`. It must be pure: the same event is read many times, in many processes.

        @upcast("subak.request.rated.v1", to="subak.request.rated.v2")
        def rated_v2(data: dict[str, Any]) -> dict[str, Any]:
            return {**data, "scale": 5}
    """

    def register(function: Upcaster) -> Upcaster:
        types.add_upcaster(old, to, function)
        return function

    return register
