"""People sign in at the city's provider, come to the page that they wanted, and are gone when they sign out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from bus import metrics
from bus.identity import identity_of
from bus.identity.sealing import Seal
from bus.identity.signing_in import Begun, NotSignedIn, SigningIn
from bus.settings import Settings
from schemas.failures import Misconfigured
from services.console.security import hosts_of, local_path
from services.console.sessions import COOKIE
from tests.console.conftest import CITY
from tests.doors.conftest import Locked, follow, locking, settings_for, sign_in
from tests.doors.provider import Provider
from tests.support.logbook import Logbook


def token_of(page: httpx.Response) -> str:
    """The token of its forms."""
    return str(re.findall(r'name="token" value="([0-9a-f]+)"', page.text)[0])


async def to_the_answer(browser: httpx.AsyncClient, name: str, page: str = "/") -> str:
    """Sign in, and stop at the address with which the provider leads back."""
    asked = await follow(browser, await browser.get(page))
    form = re.findall(r'action="(/interaction/[^"]+)"', asked.text)[0]
    answer = await browser.post(urljoin(str(asked.url), form), data={"login": name})
    while "/auth/callback" not in answer.headers["location"]:
        answer = await browser.get(urljoin(str(answer.url), answer.headers["location"]))
    return str(answer.headers["location"])


async def test_whoever_is_not_signed_in_is_led_to_the_provider_and_back_to_the_page(locked: Locked) -> None:
    async with locked.browser() as browser:
        page = await sign_in(browser, "wayan", "/cases?overdue=true")
        assert str(page.url) == f"{locked.url}/cases?overdue=true"
        assert page.status_code == 200
        assert "Signed in as wayan." in page.text
        assert "operator" in page.text
        assert "asks nobody" not in page.text
        assert (await browser.get("/")).status_code == 200


async def test_what_goes_to_the_provider_carries_pkce_state_and_nonce_and_no_secret(locked: Locked) -> None:
    async with locked.browser() as browser:
        answer = await browser.get("/auth/in")
        asked = parse_qs(urlsplit(answer.headers["location"]).query)
        assert asked["response_type"] == ["code"]
        assert asked["code_challenge_method"] == ["S256"]
        assert all(len(asked[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert asked["state"][0] not in cookie, "what the cookie holds can be read"


async def test_signed_out_is_signed_out_here_and_at_the_provider_and_a_kept_cookie_counts_no_more(
    locked: Locked,
) -> None:
    async with locked.browser() as browser:
        page = await sign_in(browser, "made", "/cases")
        kept = browser.cookies[COOKIE]
        out = await browser.post("/auth/out", data={"token": token_of(page)})
        assert out.status_code == 303
        assert out.headers["location"].startswith(f"{locked.provider.issuer}/session/end?")
        asked = await browser.get(out.headers["location"])
        form = dict(re.findall(r'name="(xsrf)" value="([^"]+)"', asked.text))
        back = await browser.post(f"{locked.provider.issuer}/session/end/confirm", data={**form, "logout": "yes"})
        bye = await follow(browser, back)
        assert str(bye.url) == f"{locked.url}/auth/bye"
        assert "You are signed out" in bye.text
        assert "The city's sign-in" in (await follow(browser, await browser.get("/cases"))).text
    async with locked.browser(cookie=f"{COOKIE}={kept}") as thief:
        assert (await thief.get("/cases")).status_code == 303


async def test_signing_out_needs_the_form_s_own_token(locked: Locked) -> None:
    async with locked.browser() as browser:
        await sign_in(browser, "made")
        assert (await browser.post("/auth/out", data={"token": "0" * 64})).status_code == 403
        assert (await browser.get("/cases")).status_code == 200


async def test_an_answer_counts_once_and_in_the_browser_where_it_began(locked: Locked) -> None:
    async with locked.browser() as browser, locked.browser() as other:
        answer = await to_the_answer(browser, "wayan")
        stolen = await other.get(answer)
        assert stolen.status_code == 403
        assert "did not begin in this browser" in stolen.text
        cookies = dict(browser.cookies)
        assert (await browser.get(answer)).status_code == 303
        for name, value in cookies.items():
            if name not in browser.cookies:
                browser.cookies.set(name, value, domain="127.0.0.1")
        again = await browser.get(answer)
        assert again.status_code == 403
        assert "answered already" in again.text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda query: query.replace("state=", "state=x"), "did not begin in this browser"),
        (lambda query: re.sub(r"code=[^&]+", "code=guessed", query), "gives nothing for the code"),
        (lambda query: re.sub(r"iss=[^&]+", "iss=http%3A%2F%2Fevil.example", query), "another provider"),
        (lambda query: re.sub(r"&?iss=[^&]+", "", query), "another provider"),
        (lambda query: re.sub(r"code=[^&]+", "error=access_denied&error_description=%3Cscript%3E", query), "says"),
    ],
)
async def test_an_answer_that_was_changed_signs_nobody_in(locked: Locked, change: object, problem: str) -> None:
    async with locked.browser() as browser:
        answer = urlsplit(await to_the_answer(browser, "wayan"))
        refused = await browser.get(f"{answer.path}?{change(answer.query)}")  # type: ignore[operator]
        assert refused.status_code == 403
        assert problem in refused.text
        assert "<script>" not in refused.text
        assert COOKIE not in browser.cookies


@pytest.mark.parametrize(("part", "problem"), [("nonce", "nonce is missing or another"), ("verifier", "nothing for")])
async def test_a_proof_for_another_sign_in_is_refused(locked: Locked, part: str, problem: str) -> None:
    assert locked.parts.sessions is not None
    signing = SigningIn(locked.parts.sessions.issuer)
    begun = Begun.new("/")
    async with locked.browser() as browser:
        here = f"{locked.url}/auth/callback"
        answer = urlsplit(await to_the_answer(browser, "wayan", await signing.address(begun, here)))
    known = {name: values[0] for name, values in parse_qs(answer.query).items()}
    other = Begun(**{**begun.__dict__, part: Begun.new("/").__dict__[part]})
    with pytest.raises(NotSignedIn, match=problem):
        await signing.finish(other, known, here)


@pytest.mark.parametrize(
    "next", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\nb", "/\t/x"]
)
async def test_a_sign_in_leads_to_a_page_of_ours_only(locked: Locked, next: str) -> None:
    assert local_path(next) == "/"
    async with locked.browser() as browser:
        answer = await browser.get("/auth/in", params={"next": next})
        form = await follow(browser, answer)
        action = re.findall(r'action="(/interaction/[^"]+)"', form.text)[0]
        page = await follow(browser, await browser.post(urljoin(str(form.url), action), data={"login": "made"}))
        assert str(page.url) == f"{locked.url}/"


@pytest.mark.parametrize("roles", [["operator"], ["console"]])
async def test_a_cookie_that_was_made_elsewhere_signs_nobody_in(locked: Locked, roles: list[str]) -> None:
    made = {"id": "x", "sub": "x", "name": "x", "roles": roles, "agency": None, "hint": ""}
    sealed = Seal(b"another secret of thirty-two bytes").seal(COOKIE, made, until=4e9)
    for cookie in (sealed, "eyJhbGciOiJub25lIn0.e30.", "x" * 9000, ""):
        async with locked.browser(cookie=f"{COOKIE}={cookie}") as browser:
            assert (await browser.get("/cases")).status_code == 303


async def test_a_cookie_that_was_edited_or_is_for_something_else_signs_nobody_in(locked: Locked) -> None:
    async with locked.browser() as browser:
        await sign_in(browser, "ketut")
        good = browser.cookies[COOKIE]
        begun = await browser.get("/auth/in?next=/")  # signed in: leads on
        assert begun.headers["location"] == "/"
    head, key, vector, text, tag = good.split(".")
    flipped = text[:-2] + ("AA" if text[-2:] != "AA" else "BB")
    async with locked.browser() as fresh:
        other = (await fresh.get("/auth/in")).cookies
    [on_its_way] = [value for name, value in other.items() if name.startswith("subak-signing-in")]
    for cookie in (".".join((head, key, vector, flipped, tag)), on_its_way):
        async with locked.browser(cookie=f"{COOKIE}={cookie}") as browser:
            assert (await browser.get("/cases")).status_code == 303


async def test_a_session_ends_at_its_time() -> None:
    now = 1_000.0
    seal = Seal(b"0" * 32, clock=lambda: now)
    sealed = seal.seal(COOKIE, {"id": "x"}, until=1_060)
    assert seal.open(COOKIE, sealed) is not None
    assert seal.open("something else", sealed) is None
    now = 1_060.0
    assert seal.open(COOKIE, sealed) is None


async def test_with_https_the_cookies_are_secure_and_of_this_host_alone(
    logbook: Logbook, tmp_path: Path, locked: Locked
) -> None:
    from services.console.sessions import Sessions

    sessions = Sessions(locked.identity, "https://console.city.example")
    sessions.issuer = locked.issuer
    sessions._signing = SigningIn(locked.issuer)
    from starlette.requests import Request
    from starlette.responses import Response

    request = Request({"type": "http", "headers": [], "query_string": b"", "method": "GET", "path": "/"})
    address, (name, value) = await sessions.begin(request, "/")
    assert "redirect_uri=https%3A%2F%2Fconsole.city.example%2Fauth%2Fcallback" in address
    assert name.startswith("__Host-")
    answer = Response()
    sessions.set(request, answer, name, value)
    assert "Secure" in answer.headers["set-cookie"]


async def test_while_the_provider_is_away_nobody_signs_in_and_who_is_signed_in_goes_on(
    logbook: Logbook, tmp_path: Path
) -> None:
    async with locking(logbook, tmp_path) as locked, locked.browser() as browser, locked.browser() as late:
        await sign_in(browser, "wayan")
        assert (await browser.get("/health/ready")).json() == {"status": "pass"}
        up = metrics.identity_provider_up.labels(locked.issuer.identity.issuer)._value
        assert up.get() == 1
        locked.provider.stop()
        assert locked.parts.sessions is not None
        for issuer in (locked.parts.sessions.issuer, locked.issuer):
            await issuer._read(older_than_seconds=0)
        assert up.get() == 0, "SubakIdentityProviderAway goes by this"
        for address in (locked.url, locked.casebook_url):
            health = await browser.get(f"{address}/health/ready")
            assert (health.status_code, health.json()["status"]) == (200, "warn")
            assert "does not answer" in health.json()["output"]
        page = await browser.get("/cases")
        assert page.status_code == 200, "the session and the console's own token live on"
        away = await follow(late, await late.get("/cases"))
        assert away.status_code == 503
        assert "Nobody can sign in now" in away.text
        out = await browser.post("/auth/out", data={"token": token_of(page)})
        assert out.headers["location"] == "/auth/bye", "out here, though not at the provider"
        locked.provider.start()
        await locked.parts.sessions.issuer._read(older_than_seconds=0)
        assert (await sign_in(late, "wayan")).status_code == 200


async def test_roles_may_come_from_userinfo_where_the_proof_does_not_tell_them(
    logbook: Logbook, tmp_path: Path
) -> None:
    provider = Provider(claims_from_userinfo=True)
    async with locking(logbook, tmp_path, provider) as locked, locked.browser() as browser:
        page = await sign_in(browser, "nyoman", "/cases")
        assert "Signed in as nyoman." in page.text
        assert CITY.agencies["public-works"].name["en"] in page.text


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"oidc_issuer": "http://login.city.example"}, "it must be https"),
        ({"oidc_audience": "console"}, "must name the casebook's API"),
        ({"oidc_client_id": ""}, "needs a client of its own"),
        ({"oidc_client_secret_file": Path("nowhere")}, "cannot be read"),
        ({"oidc_roles": "staff=admin"}, "The roles are citizen"),
        ({"oidc_roles": "staff=agency:nowhere"}, "none of that id"),
        ({"oidc_roles": "staff"}, "write `word of the provider=role`"),
        ({"oidc_ca_file": Path("nowhere")}, "not a file"),
    ],
)
def test_what_cannot_work_is_said_before_anything_listens(
    tmp_path: Path, more: dict[str, object], problem: str
) -> None:
    def as_the_console_does() -> None:
        found = identity_of(settings_for(Provider(), tmp_path, **more), CITY)
        assert found is not None
        found.require_client("the console")

    with pytest.raises(Misconfigured, match=problem):
        as_the_console_does()


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short", "utf-8")
    with pytest.raises(Misconfigured, match="fewer than 32 bytes"):
        identity_of(settings_for(Provider(), tmp_path, oidc_session_secret_file=tmp_path / "short"), CITY)


def test_beyond_this_machine_the_console_must_know_where_people_find_it() -> None:
    known: dict[str, Any] = {"oidc_issuer": "https://login.city.example", "http_host": "0.0.0.0"}
    with pytest.raises(Misconfigured, match="SUBAK_CONSOLE_URL"):
        hosts_of(Settings(**known))
    with pytest.raises(Misconfigured, match="must be https"):
        hosts_of(Settings(**known, console_url="http://console.city.example"))
    assert "console.city.example" in hosts_of(Settings(**known, console_url="https://console.city.example"))
