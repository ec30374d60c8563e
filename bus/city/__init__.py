"""The city's directory: its areas, agencies and services, and who must hear of what."""

from bus.city.directory import City
from bus.city.feed import Feed, load_feed, request_from_open311
from bus.city.load import city_path, load_city
from bus.city.model import Agency, Area, Bounds, Level, Permit, Proposals, Responsibility, Service, Subscription
from bus.city.problems import Problem, WrongCity

__all__ = [
    "Agency",
    "Area",
    "Bounds",
    "City",
    "Feed",
    "Level",
    "Permit",
    "Problem",
    "Proposals",
    "Responsibility",
    "Service",
    "Subscription",
    "WrongCity",
    "city_path",
    "load_city",
    "load_feed",
    "request_from_open311",
]
