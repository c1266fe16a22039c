"""Signing in over HTTPS in a real Chromium: the page as the stack starts it, with the certificates of `tiltline init-stack`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, BrowserType, Error, Page, expect, sync_playwright

from sensor_gateway.clock import SystemClock
from sensor_gateway.stack.site import SitePlan, init_stack
from tests.integration.page_site import CHROMIUM, FLAGS
from tests.integration.servers import Process, answers, free_port
from tests.sensor_gateway.web.web_day import WEARER, seed_until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.xdist_group("sign_in_chromium"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
]


class PageProcess(Process):
    """`tiltline web` with the stack's own gateway.toml, its container's paths and port replaced by this test's."""

    def __init__(self, folder: Path, stack: Path) -> None:
        super().__init__(folder, "web")
        self.port = free_port()
        text = (stack / "gateway.toml").read_text()
        for old, new in (
            ("/etc/tiltline/study.toml", str(stack / "study.toml")),
            ("/etc/tiltline/", f"{stack}/certs/"),
            ("/run/secrets/", f"{stack}/secrets/"),
            ("/var/lib/tiltline", str(folder)),
            ("port = 8080", f"port = {self.port}"),
            ('host = "0.0.0.0"', 'host = "127.0.0.1"'),
        ):
            assert old in text
            text = text.replace(old, new)
        (folder / "gateway.toml").write_text(text)
        seed_until(folder / "store.db", SystemClock().utc_ns())

    def command(self) -> list[str]:
        return [sys.executable, "-m", "sensor_gateway.cli", "web", "--config", str(self.folder / "gateway.toml")]

    def is_up(self) -> bool:
        return answers(self.port)


@dataclass(frozen=True, slots=True)
class SignIn:
    """The running page and the tokens that open it."""

    url: str
    stack: Path

    def token(self, role: str) -> str:
        return (self.stack / "secrets" / f"page_{role}_token").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SignIn]:
    folder = tmp_path_factory.mktemp("sign-in")
    init_stack(folder / "stack", SitePlan(wearers=(WEARER,)))
    page = PageProcess(folder / "data", folder / "stack")
    page.start()
    try:
        yield SignIn(f"https://localhost:{page.port}/", folder / "stack")
    finally:
        page.kill9()


def key_hash(certificate: Path) -> str:
    """By which Chromium can be told to trust one key: the SHA-256 of the certificate's public key."""
    program = "openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"
    done = subprocess.run(["sh", "-c", program], stdin=certificate.open(), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def chromium() -> Iterator[BrowserType]:
    with sync_playwright() as playwright:
        yield playwright.chromium


@pytest.fixture(scope="module")
def browser(site: SignIn, chromium: BrowserType) -> Iterator[Browser]:
    """A browser that trusts the page's own key and nothing else that no public authority vouches for."""
    trusted = f"--ignore-certificate-errors-spki-list={key_hash(site.stack / 'certs' / 'page.crt')}"
    browser = chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, trusted])
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def enter(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_the_form_lets_in_with_the_token_only_and_keeps_the_browser_signed_in(page: Page, site: SignIn) -> None:
    page.goto(site.url)
    expect(page).to_have_url(f"{site.url}sign-in")
    enter(page, "not-the-token")
    expect(page.get_by_role("alert")).not_to_be_empty()
    assert page.context.cookies() == []
    enter(page, site.token("wearer"))
    expect(page).to_have_url(site.url)
    expect(page.locator("#view-now")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert cookie["secure"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert site.token("wearer") not in cookie["value"]
    assert page.evaluate("document.cookie") == ""
    page.reload()
    expect(page.locator("#view-now")).to_be_visible()


def test_after_the_sign_in_comes_the_page_that_was_asked_for_and_none_from_elsewhere(page: Page, site: SignIn) -> None:
    wanted = f"{site.url}review.html?wearer={WEARER}&event=0123456789abcdef"
    page.goto(wanted)
    enter(page, site.token("therapist"))
    expect(page).to_have_url(wanted)
    expect(page.locator("#said")).to_contain_text("This flag is not among the newest ones")
    page.goto(
        f"{site.url}sign-in?to=%2Fprogramme.html", wait_until="commit"
    )  # signed in already, as after a link from another site
    expect(page).to_have_url(f"{site.url}programme.html")
    for elsewhere in (
        "//elsewhere.example/",
        "/\\elsewhere.example",
        "https://elsewhere.example",
        "javascript:alert(1)",
    ):
        page.goto(f"{site.url}sign-in?{urlencode({'to': elsewhere})}", wait_until="commit")
        expect(page).to_have_url(site.url)


def test_a_wearer_on_a_therapists_page_is_told_so_and_sees_nothing_to_fill_in(page: Page, site: SignIn) -> None:
    page.goto(f"{site.url}programme.html")
    enter(page, site.token("wearer"))
    expect(page).to_have_url(f"{site.url}programme.html")
    expect(page.locator("#said")).to_contain_text("Only your therapist")
    expect(page.locator(".card:visible")).to_have_count(0)
    page.get_by_role("link", name="Wearer's page").click()
    expect(page.locator("#view-now")).to_be_visible()
    page.get_by_role("link", name="For therapists").click()
    expect(page.locator("#said")).to_contain_text("Only your therapist")


def test_a_wearers_sign_in_is_the_wearers_and_a_therapists_sees_the_review(browser: Browser, site: SignIn) -> None:
    seen = {}
    for role in ("wearer", "therapist"):
        # Without the service worker: Chromium was seen never to close a context whose page it took to the sign-in just then.
        context = browser.new_context(service_workers="block")
        page = context.new_page()
        page.goto(f"{site.url}sign-in")
        enter(page, site.token(role))
        expect(page).to_have_url(site.url)
        ask = "path => fetch(path).then(answer => answer.status)"
        seen[role] = [page.evaluate(ask, path) for path in ("api/today", "api/review/wearers")]
        page.evaluate(
            "fetch('api/sign-out', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'})"
        )
        again = context.new_page()  # the first one may be on its way to the sign-in by itself
        again.goto(site.url)
        expect(again).to_have_url(f"{site.url}sign-in")
        context.close()
    assert seen["wearer"][0] == seen["therapist"][0] == seen["therapist"][1] == 200
    assert seen["wearer"][1] in {401, 403, 404}


def test_a_browser_that_does_not_know_the_authority_stops(site: SignIn, chromium: BrowserType) -> None:
    stranger = chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    try:
        with pytest.raises(Error, match="ERR_CERT_AUTHORITY_INVALID"):
            stranger.new_page().goto(site.url)
    finally:
        stranger.close()
