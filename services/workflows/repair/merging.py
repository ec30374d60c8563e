"""Repair: requests that tell of one matter. The newer goes on in the older, and its citizen hears of all that follows.

The other is asked first, and this one follows only when it has been taken up: so no request ends in one that is gone.
A case that asks, or follows, takes nobody up: so no two ever wait for each other. Whoever follows is still a case of
its own: it can be parted again, by a person or by its citizen, and when the other ends without the matter being
settled, it goes on by itself.
"""

from __future__ import annotations

from schemas.types.cases import MessageRefused, TimerFired
from schemas.types.merging import (
    DuplicateFound,
    RequestAbsorbed,
    RequestFollowed,
    RequestJoined,
    RequestLeft,
    RequestMergeRefused,
    RequestMergeRequested,
    RequestProgressed,
    RequestSeparated,
)
from schemas.types.requests import (
    RequestAssigned,
    RequestCommented,
    RequestMerged,
    RequestRated,
    RequestReopened,
    RequestResolved,
    RequestWithdrawn,
)
from services.workflows.definition import CLOSED, Step
from services.workflows.money import refuse
from services.workflows.repair.case import (
    ACCEPTED,
    BEFORE_WORK,
    FOLLOWING,
    FORWARDED,
    OPEN,
    ORDERED,
    RESOLVED,
    RepairCase,
    change,
    repair,
)
from services.workflows.repair.steps import asked_now, cancel_order, close, forward, progress

FOLLOWERS_MAX = 200
"""Requests that may go on in one: each is told of each step, and a case is not a file."""

ALIKE_MAX = 5
"""Cases that are asked one after the other whether they are about the same matter."""

APART_MAX = 20
"""Cases that it is remembered to be another matter than."""

MERGED_BY_ITSELF = (*BEFORE_WORK, ORDERED, ACCEPTED)
"""Where nothing was done yet: later only a person merges."""

MERGE_REQUESTED = RequestMergeRequested.registered.name


# -- this one is to go on in another


@repair.on(DuplicateFound, states=[*OPEN, FOLLOWING], to="same")
def like_another(case: RepairCase, data: DuplicateFound, step: Step) -> RepairCase:
    """An older request nearby may be about the same: it is asked, unless somebody works on this one already."""
    if case.state not in MERGED_BY_ITSELF or data.from_case in (*case.apart, case.merging, *case.followers):
        return case
    if case.merging:
        return change(case, alike=(*case.alike, data.from_case)[:ALIKE_MAX])
    return _ask(case, data.from_case, step, metres=data.metres)


@repair.on(RequestMerged, states=OPEN, to="same")
def merged(case: RepairCase, data: RequestMerged, step: Step) -> RepairCase:
    """A person says that it is the same matter: the other is asked to take it up."""
    step.require_sender({step.city.citizens_channel, *case.asked, *case.parties}, "merging the request")
    if data.into == case.id:
        raise refuse("same_case", "data.into", "a request cannot go on in itself", "Name the other request's case.")
    if data.into in case.followers:
        raise refuse("follows_this", "data.into", "that request goes on in this one", "Nothing is left to do.")
    return change(_ask(case, data.into, step), merged_by=step.sender, alike=())


def taken_up(case: RepairCase, data: RequestAbsorbed, step: Step) -> RepairCase:
    """The other has taken it up: it follows, and nobody waits for anything here."""
    if data.from_case == case.into and case.state == FOLLOWING:
        return case  # it had asked again
    by_itself = not case.merged_by and case.state not in MERGED_BY_ITSELF
    if data.from_case != case.merging or by_itself:  # kept apart meanwhile, or the work has begun
        step.tell(data.from_case, RequestLeft(from_case=case.id))
        return _not_merging(case) if data.from_case == case.merging else case
    cancel_order(case, step, f"The request goes on in the case {data.from_case}.")
    step.stop_timer("acknowledge", "approve", "accept", "warn", "resolve", "inspect", "rate")
    step.start_timer("follow", step.city.service(case.service_code).resolve_within)
    step.emit(
        RequestJoined(into=data.from_case, agency=data.agency, expected_datetime=data.expected_datetime),
        parties=(*case.parties, *asked_now(case)),
    )
    return change(
        _not_merging(case), state=FOLLOWING, into=data.from_case, executor="", parts=(), approvers=(), inspectors=()
    )


for _state in (*OPEN, FOLLOWING):
    repair.on(RequestAbsorbed, states=[_state], to={_state, FOLLOWING})(taken_up)


@repair.on(MessageRefused, states=OPEN, to="same")
def not_taken_up(case: RepairCase, data: MessageRefused, step: Step) -> RepairCase:
    """The other cannot take it up: the next one that is like it is asked, or it goes on as before."""
    if data.message_type != MERGE_REQUESTED:
        return _without(case, data.from_case)  # one that went on in this one is gone
    if data.from_case != case.merging:
        return case
    if case.merged_by:
        step.emit(RequestMergeRefused(into=data.from_case, reason=data.reason), to=case.merged_by)
    elif case.alike and case.state in MERGED_BY_ITSELF:
        return _ask(change(case, alike=case.alike[1:]), case.alike[0], step)
    return _not_merging(case)


# -- another goes on in this one


@repair.on(RequestMergeRequested, states=[*OPEN, FOLLOWING], to="same")
def takes_up(case: RepairCase, data: RequestMergeRequested, step: Step) -> RepairCase:
    """Another is about the same: whoever works on it hears so, and its citizen hears what becomes of it."""
    if data.from_case not in case.followers:
        _require_room(case, data)
        case = change(case, followers=(*case.followers, data.from_case))
        told = RequestFollowed(
            by_case=data.from_case, followers=len(case.followers), metres=data.metres, description=data.description
        )
        step.emit(told, parties=case.parties)
    step.tell(data.from_case, RequestAbsorbed(from_case=case.id, agency=case.executor or case.holder))
    return case


def _require_room(case: RepairCase, data: RequestMergeRequested) -> None:
    """It takes up no further one while it asks, or follows, itself: so no two ever wait for each other.

    Of those that go on in a case that ended, the first may be asked by the others before it hears of that end itself.

    Raises:
        Refused: it cannot take up another.
    """
    leads = data.after is not None and data.after == case.into
    if case.merging or (case.state == FOLLOWING and not leads):
        problem = f"it is itself to go on in {case.merging or case.into}"
        raise refuse("merging", "subject", problem, "Merge it into that one.")
    if case.state == RESOLVED:
        raise refuse("resolved", "subject", "its work is done", "Let it go on by itself.")
    if len(case.followers) >= FOLLOWERS_MAX:
        raise refuse("case_full", "subject", f"{FOLLOWERS_MAX} requests go on in it", "Let it go on by itself.")


@repair.on(RequestLeft, states=[*OPEN, FOLLOWING], to="same")
def left(case: RepairCase, data: RequestLeft, step: Step) -> RepairCase:
    """One that went on in this one has ended, or goes its own way again."""
    return _without(case, data.from_case)


# -- while it follows


@repair.on(RequestProgressed, states=OPEN, to="same")
def no_longer_follows(case: RepairCase, data: RequestProgressed, step: Step) -> RepairCase:
    """It has been parted meanwhile: what becomes of the other is no news for its citizen."""
    return case


@repair.on(RequestProgressed, states=[FOLLOWING], to=[FOLLOWING, FORWARDED, CLOSED])
def follows(case: RepairCase, data: RequestProgressed, step: Step) -> RepairCase:
    """What became of the other is told to this one's citizen, and to those that go on in this one."""
    if data.from_case != case.into:
        return case
    if data.step == "closed":
        return _other_ended(case, data, step)
    if data.step == "assigned" and data.agency is not None:
        step.emit(
            RequestAssigned(
                agency=data.agency,
                service_code=case.service_code,
                area=case.area,
                expected_datetime=data.expected_datetime,
            )
        )
    if data.step == "resolved" and data.agency is not None:
        step.emit(RequestResolved(agency=data.agency, cost=data.cost, status_notes=data.status_notes))
    progress(case, step, data.model_copy(update={"from_case": case.id}))
    return case


def _other_ended(case: RepairCase, data: RequestProgressed, step: Step) -> RepairCase:
    if data.heir is None:
        reason = f"It went on in the case {data.from_case}, which ended: {data.outcome}. {data.reason or ''}".strip()
        return close(case, "merged", step, reason=reason[:1000])
    if data.heir == case.id:
        return _by_itself(case, step, "The request in which this one went on was withdrawn, and nothing was settled.")
    step.tell(data.heir, RequestMergeRequested(from_case=case.id, after=data.from_case))
    return change(case, into=data.heir)


@repair.on(MessageRefused, states=[FOLLOWING], to=[FOLLOWING, FORWARDED])
def other_gone(case: RepairCase, data: MessageRefused, step: Step) -> RepairCase:
    """The other does not have it any more: it goes on by itself."""
    if data.message_type != MERGE_REQUESTED:
        return _without(case, data.from_case)
    if data.from_case != case.into:
        return case
    return _by_itself(case, step, f"The request in which this one went on takes it no longer: {data.reason}")


@repair.on_timer("follow", states=[FOLLOWING], to="same")
def still_there(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """It asks again whether the other still has it, so that none follows one that is gone."""
    step.start_timer("follow", step.city.service(case.service_code).resolve_within)
    step.tell(case.into, RequestMergeRequested(from_case=case.id))
    return case


# -- parted again


@repair.on(RequestSeparated, states=[FOLLOWING], to=[FORWARDED])
def parted(case: RepairCase, data: RequestSeparated, step: Step) -> RepairCase:
    """A person says that the merge was a mistake: it goes on by itself, and is not merged there again by itself."""
    step.tell(case.into, RequestLeft(from_case=case.id))
    return _by_itself(_kept_apart(case, case.into), step, f"It is another matter: {data.reason}")


@repair.on(RequestSeparated, states=OPEN, to="same")
def not_to_be_merged(case: RepairCase, data: RequestSeparated, step: Step) -> RepairCase:
    """A person says so before the other has answered: then its answer comes too late."""
    if not case.merging:
        raise refuse("not_merged", "type", "the request is merged into no other", "Nothing is left to do.")
    return _not_merging(_kept_apart(case, case.merging))


@repair.on(RequestReopened, states=[FOLLOWING], to=[FORWARDED])
def not_settled_here(case: RepairCase, data: RequestReopened, step: Step) -> RepairCase:
    """Its citizen says that it is not settled here, whatever was done there."""
    step.tell(case.into, RequestLeft(from_case=case.id))
    return _by_itself(_kept_apart(case, case.into), step, data.reason)


@repair.on(RequestRated, states=[FOLLOWING], to=[CLOSED])
def rated_here(case: RepairCase, data: RequestRated, step: Step) -> RepairCase:
    """Its citizen's word ends it."""
    step.tell(case.into, RequestLeft(from_case=case.id))
    return close(case, "rated", step)


@repair.on(RequestWithdrawn, states=[FOLLOWING], to=[CLOSED])
def withdrawn_here(case: RepairCase, data: RequestWithdrawn, step: Step) -> RepairCase:
    """Its citizen no longer asks; the other goes on."""
    step.tell(case.into, RequestLeft(from_case=case.id))
    return close(case, "withdrawn", step, reason=data.reason)


@repair.on(RequestCommented, states=[FOLLOWING], to="same")
def commented_here(case: RepairCase, data: RequestCommented, step: Step) -> RepairCase:
    """A remark changes nothing."""
    return case


# -- the steps that several of these take


def _ask(case: RepairCase, other: str, step: Step, *, metres: float | None = None) -> RepairCase:
    description = case.description[:1000] if case.description else None
    step.tell(other, RequestMergeRequested(from_case=case.id, metres=metres, description=description))
    return change(case, merging=other, merged_by="")


def _not_merging(case: RepairCase) -> RepairCase:
    return change(case, merging="", merged_by="", alike=())


def _kept_apart(case: RepairCase, other: str) -> RepairCase:
    return change(case, apart=(*case.apart, other)[-APART_MAX:])


def _without(case: RepairCase, follower: str) -> RepairCase:
    return change(case, followers=tuple(one for one in case.followers if one != follower))


def _by_itself(case: RepairCase, step: Step, reason: str) -> RepairCase:
    """It is asked for as if it were new; those that go on in it stay with it."""
    step.stop_timer("follow")
    first = step.city.candidates(case.service_code, case.area)[0]
    return forward(change(case, into=""), first, step, reason=reason[:1000])
