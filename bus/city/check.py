"""Whether the parts of a city fit together: run over a draft, before anyone sees a `City`.

Each check looks at what could be read and keeps silent about what rests on something already noted, so that one mistake
gives one sentence, and no mistake hides another.
"""

from __future__ import annotations

from bus.city.assemble import Draft
from bus.city.check_agencies import check_agencies
from bus.city.check_nearby import check_nearby
from bus.city.check_permits import check_permits
from bus.city.check_places import check_areas, check_settings
from bus.city.check_proposals import check_proposals
from bus.city.check_rights import check_rights
from bus.city.check_services import check_services
from bus.city.check_subscriptions import check_subscriptions
from bus.city.problems import Problems


def check(draft: Draft, problems: Problems) -> None:
    """Note everything in the draft that does not fit together."""
    check_settings(draft, problems)
    check_areas(draft, problems)
    check_agencies(draft, problems)
    check_subscriptions(draft, problems)
    check_services(draft, problems)
    check_rights(draft, problems)
    check_proposals(draft, problems)
    check_permits(draft, problems)
    check_nearby(draft, problems)
