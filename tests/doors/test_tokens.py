"""The casebook takes a token of the city's provider, made for it, signed by the provider, and no other."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from bus.identity import Caller, identity_of
from bus.identity.claims import caller_of
from bus.identity.machine import MachineToken
from bus.identity.speaking import HEADER, said
from schemas.failures import Misconfigured
from services.casebook.entrance import needed
from services.cli.asking import Casebook
from tests.console.conftest import CITY
from tests.doors.conftest import Locked, locking, settings_for
from tests.doors.provider import AUDIENCE, Provider, a_provider
from tests.support.logbook import Logbook


def claims_for(locked: Locked, **more: Any) -> dict[str, Any]:
    """Claims with which everything is right."""
    known = {"iss": locked.provider.issuer, "aud": AUDIENCE, "sub": "x", "exp": int(time.time()) + 600}
    return {**known, "roles": ["subak-operator"], **more}


def encoded(part: bytes) -> str:
    """As it stands in a token."""
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def text(part: dict[str, Any]) -> str:
    """A part of a token."""
    return encoded(json.dumps(part).encode())


async def refused(locked: Locked, token: str) -> str:
    """Why, in words; fails where it is taken."""
    async with locked.asking(token) as asking:
        answer = await asking.get("/api/cases")
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith('Bearer realm="subak"')
    return str(answer.json()["detail"])


async def test_a_machine_s_own_token_is_taken(locked: Locked) -> None:
    async with locked.asking(locked.provider.token("operations")) as asking:
        assert (await asking.get("/api/cases")).status_code == 200


async def test_without_a_token_nothing_is_told_and_both_languages_say_why(locked: Locked) -> None:
    async with locked.asking() as asking:
        for language, title in (("en", "Not signed in"), ("id-ID,id;q=0.9", "Belum masuk")):
            for address in ("/api/cases", "/api/summary", "/api/nothing", "/"):
                answer = await asking.get(address, headers={"accept-language": language})
                assert (answer.status_code, answer.json()["title"]) == (401, title)
        basic = await asking.get("/api/cases", headers={"authorization": "Basic eDp4"})
        assert basic.status_code == 401
        for address in ("/health/live", "/metrics", "/openapi.json"):
            assert (await asking.get(address)).status_code == 200


async def test_a_token_of_another_issuer_is_refused(locked: Locked) -> None:
    with a_provider() as other:
        assert "no such key" in await refused(locked, other.token("operations"))


async def test_a_token_for_another_audience_is_refused(locked: Locked) -> None:
    assert "its aud is missing or another" in await refused(
        locked, locked.provider.token("operations", "urn:another:api")
    )


async def test_an_expired_token_is_refused(logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.identity.tokens.LEEWAY_SECONDS", 0)
    async with locking(logbook, tmp_path, Provider(token_seconds=1)) as locked:
        token = locked.provider.token("operations")
        while "has expired" not in (detail := await refused_or_taken(locked, token)):
            assert detail == "taken"


async def refused_or_taken(locked: Locked, token: str) -> str:
    async with locked.asking(token) as asking:
        answer = await asking.get("/api/summary")
    return "taken" if answer.is_success else str(answer.json()["detail"])


async def test_a_token_that_nobody_signed_is_refused(locked: Locked) -> None:
    for alg in ("none", "None", "NONE"):
        token = f"{text({'alg': alg})}.{text(claims_for(locked))}."
        assert "no token of the provider" in (told := await refused(locked, token)) or "algorithm" in told


async def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(locked: Locked) -> None:
    keys = httpx.get(f"{locked.provider.issuer}/jwks").json()["keys"]
    public = RSAKey.import_key(keys[0])
    for secret in (public.as_pem(private=False), json.dumps(keys[0]).encode()):
        unsigned = f"{text({'alg': 'HS256', 'kid': keys[0]['kid']})}.{text(claims_for(locked))}"
        forged = f"{unsigned}.{encoded(hmac.digest(secret, unsigned.encode(), 'sha256'))}"  # no library makes one
        assert "algorithm that does not count" in await refused(locked, forged)


async def test_a_token_signed_by_somebody_else_under_the_provider_s_key_id_is_refused(locked: Locked) -> None:
    kid = httpx.get(f"{locked.provider.issuer}/jwks").json()["keys"][0]["kid"]
    own = RSAKey.generate_key(2048)
    forged = jwt.encode({"alg": "RS256", "kid": kid}, claims_for(locked), own)
    assert "no token of the provider" in await refused(locked, forged)
    brought = {"alg": "RS256", "kid": "mine", "jwk": own.as_dict(private=False), "jku": "http://127.0.0.1:1/"}
    signed = jwt.encode({"alg": "RS256"}, claims_for(locked), own).rpartition(".")[2]
    assert await refused(locked, f"{text(brought)}.{text(claims_for(locked))}.{signed}")


async def test_a_token_that_was_changed_is_refused(locked: Locked) -> None:
    head, body, signature = locked.provider.token("public-works").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    raised = text({**claims, "roles": ["subak-operator"]})
    for token in (f"{head}.{raised}.{signature}", f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body}", "x", "."):
        assert await refused(locked, token)
    assert await refused(locked, "x" * 20_000)


async def test_a_proof_of_a_sign_in_is_no_token(locked: Locked) -> None:
    keys = locked.issuer._keys
    own = RSAKey.generate_key(2048, {"kid": "test"})
    locked.issuer._keys = KeySet([own, *keys.keys])
    try:
        for typ, more in (("JWT", {"typ": "ID"}), ("logout+jwt", {}), ("JWT", {"typ": "Refresh"})):
            token = jwt.encode({"alg": "RS256", "kid": "test", "typ": typ}, claims_for(locked, **more), own)
            assert "no access token" in await refused(locked, token)
        for wrong in ({"iss": "http://evil.example"}, {"exp": None}, {"sub": None}, {"nbf": int(time.time()) + 900}):
            token = jwt.encode({"alg": "RS256", "kid": "test"}, claims_for(locked, **wrong), own)
            assert await refused(locked, token)
        for alg in ("RS256", "PS256"):
            good = jwt.encode({"alg": alg, "kid": "test"}, claims_for(locked), own, algorithms=[alg])
            assert await refused_or_taken(locked, good) == "taken"
    finally:
        locked.issuer._keys = keys


async def test_keys_that_the_provider_changes_are_followed_while_all_runs(logbook: Logbook, tmp_path: Path) -> None:
    async with locking(logbook, tmp_path) as locked:
        before = locked.provider.token("operations")
        assert await refused_or_taken(locked, before) == "taken"
        locked.provider.rotate()
        locked.issuer._read_at = None  # five seconds later
        assert await refused_or_taken(locked, locked.provider.token("operations")) == "taken"
        assert "no such key" in await refused(locked, before)
        async with locked.browser() as browser:
            from tests.doors.conftest import sign_in

            assert locked.parts.sessions is not None
            locked.parts.sessions.issuer._read_at = None
            page = await sign_in(browser, "wayan", "/cases")
            assert page.status_code == 200, "the console's own token is of the old key: it asks for another"


async def test_only_the_console_may_ask_for_somebody_else(locked: Locked) -> None:
    boss = said(Caller("x", "x", frozenset({"operator"})))
    for machine in ("operations", "public-works"):
        async with locked.asking(locked.provider.token(machine), **{HEADER: boss}) as asking:
            answer = await asking.get("/api/cases")
            assert answer.status_code == 401
            assert "may not ask for somebody else" in answer.json()["detail"].lower()
    async with locked.asking(locked.provider.token("console")) as asking:
        assert (await asking.get("/api/acts")).status_code == 403, "for itself it reads no more than figures and cases"
        assert (await asking.get("/api/acts", headers={HEADER: boss})).status_code == 200
        for wrong in ("x", said(Caller("x", "x", frozenset({"console"}))), said(Caller("", "x")), "e30=", "A" * 5000):
            assert (await asking.get("/api/acts", headers={HEADER: wrong})).status_code == 401
        nowhere = said(Caller("x", "x", frozenset({"agency"}), "nowhere"))
        assert (await asking.get("/api/cases", headers={HEADER: nowhere})).status_code == 401


def test_an_address_that_nobody_thought_of_is_for_those_who_read_all() -> None:
    assert needed("/api/new") == "rejected_of_all"
    assert needed("/api/cases/x/anything") == "rejected_of_all"
    assert needed("/api/cases/x/timeline") == "cases"


async def test_the_commands_ask_with_a_token_of_their_own(locked: Locked, tmp_path: Path) -> None:
    settings = settings_for(locked.provider, tmp_path, oidc_client_id="operations")
    identity = identity_of(settings, CITY)
    assert identity is not None

    def as_a_command_does() -> Any:
        with Casebook(locked.casebook_url, MachineToken(identity)) as casebook:
            return casebook.ask("/api/acts")["acts"]

    def as_nobody() -> Any:
        with Casebook(locked.casebook_url) as casebook:
            return casebook.ask("/api/acts")

    assert await asyncio.to_thread(as_a_command_does)
    with pytest.raises(Misconfigured, match="asks who we are"):
        await asyncio.to_thread(as_nobody)


@pytest.mark.parametrize(
    ("claims", "roles", "agency"),
    [
        ({"roles": ["subak-operator", "admin"]}, {"operator"}, None),
        ({"roles": "subak-auditor"}, {"auditor"}, None),
        ({"roles": ["subak-agency"], "agency": "public-works"}, {"agency"}, "public-works"),
        ({"roles": ["subak-agency"], "agency": ["public-works"]}, {"agency"}, "public-works"),
        ({"roles": ["subak-agency"], "agency": ["public-works", "parks"]}, set(), None),
        ({"roles": ["subak-agency"], "agency": "nowhere"}, set(), None),
        ({"roles": ["subak-agency"]}, set(), None),
        ({"agency": "public-works"}, set(), None),
        ({"roles": {"subak-operator": True}}, set(), None),
        ({"roles": [None, 1, ["subak-operator"]]}, set(), None),
        ({"roles": ["operator"]}, set(), None),
    ],
)
def test_a_word_that_nobody_named_gives_no_role(
    claims: dict[str, Any], roles: set[str], agency: str | None, tmp_path: Path
) -> None:
    identity = identity_of(settings_for(Provider(), tmp_path), CITY)
    assert identity is not None
    caller = caller_of(identity, {"sub": "x", **claims})
    assert (set(caller.roles), caller.agency) == (roles, agency)


def test_the_provider_s_groups_become_roles_and_agencies_as_the_settings_say(tmp_path: Path) -> None:
    settings = settings_for(
        Provider(), tmp_path, oidc_roles="/city/it=operator, pw=agency:public-works", oidc_roles_claim="realm.groups",
        oidc_default_role="citizen", oidc_name_claim="email",
    )  # fmt: skip
    identity = identity_of(settings, CITY)
    assert identity is not None
    caller = caller_of(identity, {"sub": "x", "realm": {"groups": ["/city/it", "pw"]}, "email": "a\u202e\nb@c.example"})
    assert caller.roles == {"operator", "agency"}
    assert caller.agency == "public-works"
    assert caller.name == "a b@c.example", "no mark that turns text around comes into the log"
    assert caller_of(identity, {"sub": "x", "roles": ["subak-operator"]}).roles == {"citizen"}
