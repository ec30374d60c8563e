"""What lies in the cells is kept by key, by cell and by end, and in little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.identifiers import derived_id
from services.places.matters import ORDER, REQUEST, Key, Matter, Matters

KEYS = st.builds(
    Key,
    st.sampled_from([ORDER, REQUEST]),
    st.sampled_from(["1:1", "1:2"]),
    st.sampled_from("ab"),
    st.sampled_from("xy"),
)
MATTERS = st.builds(
    Matter,
    spot=st.tuples(st.floats(-180, 180), st.floats(-90, 90)),
    service_code=st.just("road"),
    at_ms=st.just(0),
    until_ms=st.integers(-5, 5),
    area=st.one_of(st.none(), st.text(max_size=5)),
    cause=st.text(max_size=5),
    done=st.booleans(),
    offset=st.integers(0, 2**62),
)


@given(st.lists(st.tuples(KEYS, st.one_of(st.none(), MATTERS)), max_size=30), st.integers(-6, 6), st.integers(1, 5))
def test_it_says_what_a_dictionary_says(puts: list[tuple[Key, Matter | None]], now: int, most: int) -> None:
    matters, oracle = Matters(), dict[Key, Matter]()
    for key, matter in puts:
        matters.put(key, matter)
        if matter is None:
            oracle.pop(key, None)
        else:
            oracle[key] = matter
    assert matters.all() == oracle
    assert len(matters) == len(oracle)
    assert all(matters.get(key) == oracle.get(key) for key, _ in puts)
    for kind, cell in ((ORDER, "1:1"), (REQUEST, "1:2")):
        assert dict(matters.in_cell(kind, cell)) == {
            key: matter for key, matter in oracle.items() if (key.kind, key.cell) == (kind, cell)
        }
    assert matters.next_end_ms() == min((matter.until_ms for matter in oracle.values()), default=None)
    ends = sorted(matter.until_ms for matter in oracle.values() if matter.until_ms <= now)
    ended = matters.ended(now, most)
    assert [oracle[key].until_ms for key in ended] == ends[:most]
    assert len(set(ended)) == len(ended)


def test_an_order_that_is_done_costs_less_than_six_hundred_bytes() -> None:
    matters, count = Matters(), 5_000
    for number in range(count):
        case = derived_id("case", number)
        order = Matter(
            spot=(115.2 + number / 1e6, -8.65),
            service_code="road",
            at_ms=1_790_000_000_000 + number,
            until_ms=1_797_000_000_000 + number,
            area="51.71.01.1005",
            correlation=case,
            cause=derived_id("cause", number),
            agency="public-works",
            done=True,
            offset=number,
        )
        matters.put(Key(ORDER, f"{number % 900}:7", case, "public-works"), order)
    (pages,), (size,) = (matters._tables.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    assert len(matters) == count
    assert pages * size / count < 600
