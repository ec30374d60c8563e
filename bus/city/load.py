"""From a city's folder to a checked `City`, or to every reason why not.

Processes call `load_city` once, when they start; a wrong file stops them with all its problems in sentences.
"""

from __future__ import annotations

from pathlib import Path

from bus.city.assemble import assemble
from bus.city.check import check
from bus.city.directory import City
from bus.city.problems import Problems, WrongCity, nearest
from bus.city.read import CITY, read_files
from schemas.failures import Misconfigured

CITIES = Path(__file__).resolve().parents[2] / "deploy" / "cities"
"""The cities that come with Subak, one folder each."""


def load_city(path: Path) -> City:
    """The city that the files in the folder describe.

    Raises:
        WrongCity: a `Misconfigured` with every problem, each naming file, key and fix.
    """
    problems = Problems()
    draft = assemble(read_files(path, problems), problems)
    check(draft, problems)
    if problems:
        raise WrongCity(str(path), problems)
    return draft.city()


def city_path(name_or_path: str) -> Path:
    """The folder of a city that comes with Subak, by name, or the folder given.

    Raises:
        Misconfigured: neither a shipped city's name nor a folder.
    """
    shipped = {folder.name: folder for folder in CITIES.glob("*") if (folder / CITY).is_file()}
    if name_or_path in shipped:
        return shipped[name_or_path]
    folder = Path(name_or_path)
    if folder.is_dir():
        return folder
    raise Misconfigured(
        f'there is no city "{name_or_path}": it is neither a folder nor a city that comes with Subak. '
        f"{nearest(name_or_path, shipped)}"
    )
