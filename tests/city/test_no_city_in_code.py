"""What differs from city to city stands in the city's files: no code knows a city's names, codes or agencies."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.city import City, city_path, load_city
from tests.city.test_shipped_cities import SHIPPED

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for folder in ("bus", "schemas", "services", "adapters", "deploy")
    for path in sorted((ROOT / folder).rglob("*.py"))
]

DEFAULT_CITY = {("bus/settings.py", "denpasar")}
"""The one place that names a city: which to start where nobody says."""

EXAMPLE = re.compile(r"(such as|as in) \S+")


def local_names(city: City) -> set[str]:
    """What only this city is called: its id, codes with a dot or all digits, time zone, agencies of several words."""
    codes = {code for code in city.areas if "." in code or (code.isdigit() and len(code) > 3)}
    names = {area.name.casefold() for area in city.areas.values() if len(area.name) > 5}
    agencies = {id for id, agency in city.agencies.items() if agency.level != "city"}
    return {city.id, city.timezone.casefold(), *codes, *names, *agencies}


def texts_in_code(path: Path) -> Iterator[str]:
    """Every string that the code uses. Docstrings explain by example and are free to, and so are sentences with one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    explained = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explained:
            yield EXAMPLE.sub("", node.value)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_code_names_a_city(name: str) -> None:
    known = local_names(load_city(city_path(name)))
    assert CODE

    found = [
        (str(path.relative_to(ROOT)), text[:80])
        for path in CODE
        for text in texts_in_code(path)
        if any(local in text.casefold() for local in known)
    ]

    assert set(found) <= DEFAULT_CITY, "move these to the city's files in deploy/cities"
