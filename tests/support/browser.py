"""Debian's Chromium, kept on this machine: what a page loads, what it complains about, how it is laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Route, expect, sync_playwright

PHONE, DESK = 360, 1280
PATIENCE = 60_000  # milliseconds; a busy machine takes its time
expect.set_options(timeout=PATIENCE)
ALLOWED = ("file:", "data:", "about:")
_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
# An item whose words and addresses are longer than any line.
LONG_ITEM = f"""---
title: {_WORD} und mehr
url: https://example.org/{"a" * 150}
source: {_WORD}
published: 2026-11-01
lang: de
summary: {_WORD}{_WORD}.
content_warning: {_WORD}
further_reading:
  - title: {_WORD}
    author: {_WORD}
status: approved
priority: 5
---

{_WORD}{_WORD}

    {"code " * 40}

| A | B |
|---|---|
| {_WORD} | <https://example.org/{"b" * 90}> |
"""


@dataclass(kw_only=True)
class Sight:
    """An open page with everything it asked for and every complaint of the browser."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def left(self) -> list[str]:
        """The requests that wanted to leave this machine; none of them got out."""
        return [url for url in self.requests if not url.startswith(ALLOWED)]

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)

    def comes_true(self, script: str) -> None:
        """Wait for it: what a key or a click sets off may need a moment."""
        self.page.wait_for_function(f"() => {script}")  # a bare expression would be eval, and forbidden


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for several pages."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"], timeout=PATIENCE
        )
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, path: Path, *, width: int = DESK, scheme: str = "light", scripts: bool = True
) -> Iterator[Sight]:
    """A file in a window of its own."""

    def on_this_machine(route: Route) -> None:
        route.fallback() if route.request.url.startswith(ALLOWED) else route.abort()

    with _window(browser, on_this_machine, width=width, scheme=scheme, scripts=scripts) as seen:
        seen.page.goto(path.resolve().as_uri(), wait_until="load")
        yield seen


@contextmanager
def visited(
    browser: Browser,
    url: str,
    *,
    width: int = DESK,
    scheme: str = "light",
    scripts: bool = True,
    elsewhere: str = "https://weather.example.net/",
) -> Iterator[Sight]:
    """A page of a server on this machine, where a 4xx is no complaint. ``elsewhere`` answers, too."""
    place = url.partition("//")[2].partition("/")[0]

    def answered(route: Route) -> None:
        if route.request.url.startswith(elsewhere):
            route.fulfill(body="<!doctype html><title>Weather</title>Rain", content_type="text/html")
        elif route.request.url.startswith(f"http://{place}/"):
            route.fallback()
        else:
            route.abort()

    with _window(
        browser, answered, width=width, scheme=scheme, scripts=scripts, overlook="status of 4"
    ) as seen:
        seen.page.goto(url, wait_until="load")
        yield seen


@contextmanager
def _window(
    browser: Browser,
    answer: Callable[[Route], None],
    *,
    width: int,
    scheme: str,
    scripts: bool,
    overlook: str | None = None,
) -> Iterator[Sight]:
    """An empty page that notes requests and complaints; ``answer`` decides what becomes of a request."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=scripts,
    )
    context.set_default_timeout(PATIENCE)
    seen = Sight(page=context.new_page())

    def asked(request: Request) -> None:
        seen.requests.append(request.url)

    def said(message: ConsoleMessage) -> None:
        harmless = overlook is not None and overlook in message.text
        if message.type in ("error", "warning") and not harmless:
            seen.complaints.append(message.text)

    context.on("request", asked)
    context.on("console", said)
    context.route("**/*", answer)
    yield seen
    context.close()


def faults(sight: Sight, *, without: tuple[str, ...] = ()) -> list[str]:
    """What axe-core finds wrong, one line each: the rule and the first place.

    It looks once the style sheets are here: a button may just have brought another page.
    """
    sight.page.wait_for_load_state("load")
    rules = {"target-size": {"enabled": True}} | {name: {"enabled": False} for name in without}
    # A frame is looked at as a page of its own: no script runs in a sandbox, so axe cannot look inside.
    found = Axe().run(sight.page, options={"rules": rules, "iframes": False, "resultTypes": ["violations"]})
    return [
        f"{broken['id']}: {broken['nodes'][0]['html'][:120]} ({len(broken['nodes'])} places)"
        for broken in found.response["violations"]
    ]
