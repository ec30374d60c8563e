"""Money reads the same wherever a person meets it, and nothing of it is lost."""

from __future__ import annotations

import pytest

from schemas.money import money_text


@pytest.mark.parametrize(
    ("amount", "english", "indonesian"),
    [
        ("228050000", "IDR 228,050,000", "IDR 228.050.000"),
        ("228050000.00", "IDR 228,050,000", "IDR 228.050.000"),
        ("1250000.50", "IDR 1,250,000.50", "IDR 1.250.000,50"),
        ("-1000", "IDR -1,000", "IDR -1.000"),
        ("0", "IDR 0", "IDR 0"),
        ("much", "IDR much", "IDR much"),
    ],
)
def test_an_amount_reads_alike_and_exactly(amount: str, english: str, indonesian: str) -> None:
    money = {"amount": amount, "currency": "IDR"}
    assert money_text(money) == english
    assert money_text(money, "id") == indonesian


def test_what_is_missing_is_left_out() -> None:
    assert money_text({"amount": "5"}) == "5"
    assert money_text({}) == ""
