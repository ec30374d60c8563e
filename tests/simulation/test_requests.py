"""Made-up requests fit the city that they are made for, and the same seed makes the same ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from bus.city import city_path, load_city
from deploy.simulation.phrasebook import load_phrasebook
from deploy.simulation.requests import SUBMITTED, lowest_areas, made_up, plan
from schemas.failures import Misconfigured
from schemas.identifiers import is_uuid
from schemas.registry import registry
from tests.simulation.in_memory import denpasar

CITY, BOOK = denpasar()


def test_500_requests_are_valid_lie_in_the_city_and_tell_of_nobody() -> None:
    requests = list(made_up(CITY, BOOK, count=500, seed=1))
    for request in requests:
        registry.get(SUBMITTED).read_strictly(json.dumps(request).encode())
        longitude, latitude = request["location"]["coordinates"]
        assert CITY.contains(longitude, latitude)
        assert request["service_code"] in CITY.services
        assert request["reporter"]["name"].startswith("Warga ")
        assert request["reporter"]["email"].endswith("@example.com")
    assert len({request["service_code"] for request in requests}) > 25
    assert len({request["area"] for request in requests}) == len(lowest_areas(CITY)) == 43


def test_a_request_about_the_beach_comes_from_the_coast() -> None:
    places = {
        request["area"] for request in made_up(CITY, BOOK, count=500, seed=1) if request["service_code"] == "beach"
    }
    assert places
    assert places <= set(BOOK.places["beach"])


def test_the_same_seed_makes_the_same_requests_wherever_one_begins() -> None:
    whole = list(made_up(CITY, BOOK, count=20, seed=4))
    assert whole[10:] == list(made_up(CITY, BOOK, count=10, seed=4, first=11))
    assert whole != list(made_up(CITY, BOOK, count=20, seed=5))


def test_the_plan_numbers_the_requests_and_spreads_them_over_time() -> None:
    requests = list(made_up(CITY, BOOK, count=20, seed=4))
    planned = list(plan(requests, book=BOOK, city=CITY, seed=4, first=501, starts_at=1000.0, per_second=10))
    assert [due_at for *_, due_at in planned] == pytest.approx([1000 + n / 10 for n in range(20)])
    assert planned[0][3].data["service_request_id"] == "DPS-000501"
    assert planned[0][3].data["requested_datetime"].endswith("+08:00")
    assert all(is_uuid(case) for _, case, *_ in planned)
    assert Counter(case for _, case, *_ in planned).most_common(1)[0][1] == 1


def test_every_shipped_city_has_a_phrasebook_that_fits_it() -> None:
    for folder in sorted(city_path("denpasar").parent.iterdir()):
        if (folder / "city.toml").exists():
            city = load_city(folder)
            book = load_phrasebook(folder, city)
            for request in made_up(city, book, count=50, seed=1):
                registry.get(SUBMITTED).read_strictly(json.dumps(request).encode())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("phrases = {", "is not TOML"),
        ('phrases = { aknowledged = ["x"] }', "Did you mean 'acknowledged'?"),
        ('descriptions = { drian = ["x"] }', "Did you mean 'drain'?"),
        ('places = { beach = ["51.71.09"] }', "places.beach names '51.71.09'"),
        ("descriptions = { drain = [] }", "is empty"),
        ("amount_step = 0", "amount_step"),
        ("colour = 1", "colour"),
    ],
)
def test_a_phrasebook_that_does_not_fit_is_told_in_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "simulation.toml").write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"simulation\.toml") as caught:
        load_phrasebook(tmp_path, CITY)
    assert sentence in str(caught.value)
