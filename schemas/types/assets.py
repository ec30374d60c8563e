"""Assets: what the city owns once it is built (OC4IDS). The case is that of the proposal which asked for it."""

from __future__ import annotations

from schemas.registry import EventData, event_type
from schemas.values import Moment, NonNegativeMoney, Point, Text64, Text200


@event_type("subak.asset.registered.v1", owner="finance")
class AssetRegistered(EventData):
    """What was built is in the city's register of assets."""

    asset_id: Text64
    """The asset, by the register's own reference."""
    name: Text200
    """What it is."""
    value: NonNegativeMoney | None = None
    """What it is worth in the books."""
    location: Point | None = None
    """Where it is."""
    acquired_at: Moment | None = None
    """When the city took it over."""
