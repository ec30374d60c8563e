"""Cases in memory share the words that they have in common, and say what they said before."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.workflows.repair import RepairCase
from services.workflows.sharing import WORD_MAX, shared

WORDS = st.text("ab -é", max_size=WORD_MAX + 2)


def read(**fields: object) -> RepairCase:
    """A case as it comes out of the changelog, with texts of its own."""
    case = RepairCase(id="i", workflow="repair@2", state="forwarded", service_code="drain", area="51.71", holder="x")
    return msgspec.json.decode(msgspec.json.encode(msgspec.structs.replace(case, **fields)), type=RepairCase)


def test_two_cases_have_one_copy_of_each_word_and_list() -> None:
    one, two = shared(read(asked=("public-works",))), shared(read(asked=("public-works",)))
    assert one.workflow is two.workflow
    assert one.area is two.area
    assert one.asked is two.asked


def test_a_sentence_and_an_id_are_left_alone() -> None:
    case = read(description="Lubang besar", into="01900000-0000-7000-8000-000000000001", followers=("x" * 36,))
    before = (case.description, case.into, case.followers, case.id)
    shared(case)
    assert all(
        was is now for was, now in zip(before, (case.description, case.into, case.followers, case.id), strict=True)
    )


@given(st.builds(read, holder=WORDS, asked=st.lists(WORDS, max_size=9).map(tuple), description=st.none() | WORDS))
def test_a_case_is_what_it_was(case: RepairCase) -> None:
    before = msgspec.json.encode(case)
    assert msgspec.json.encode(shared(case)) == before
