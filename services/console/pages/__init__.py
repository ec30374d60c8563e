"""The console's pages, one module each."""

from fastapi import APIRouter

from services.console.pages import acts, cases, catalogue, now, parked, refusals, signing
from services.console.parts import Parts


def routers(parts: Parts) -> list[APIRouter]:
    """All of them."""
    return [module.router(parts) for module in (signing, now, cases, refusals, parked, acts, catalogue)]
