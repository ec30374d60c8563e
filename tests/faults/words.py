"""The fault tests' city: the lightest that there is, whose agencies have systems in their own words, of each kind.

The worked examples are of another city, with other agencies: they are given to some of this one, as they stand but for
the agency's name and the currency.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bus.city import city_path
from deploy.simulation.examples import FOLDER

CITY = "san-francisco"
EXAMPLES = city_path("denpasar") / FOLDER

WHOSE = {"public-works": "public-works", "environment": "utilities", "planning": "housing", "transport": "transport"}
"""An example's agency, and whose it becomes: a database with triggers, CSV both ways, XLSX, Python."""


def in_their_own_words(folder: Path) -> Path:
    """Write the city into this folder, and give it back."""
    shutil.copytree(city_path(CITY), folder, dirs_exist_ok=True)
    for example, agency in WHOSE.items():
        target = folder / FOLDER / agency
        target.mkdir(parents=True, exist_ok=True)
        for path in filter(Path.is_file, (EXAMPLES / example).iterdir()):
            text = path.read_text(encoding="utf-8").replace("IDR", "USD")
            (target / path.name).write_text(text.replace(f'"{example}"', f'"{agency}"'), encoding="utf-8")
    return folder
