"""The pages of readers: subscribing, confirming, settings, leaving, reading safely. GET changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import HTMLResponse, Response

from bot.app import joining, preferences
from bot.app.returning import Departures
from bot.audience.confirming import form_stamp, read_confirm_token
from bot.audience.returning import read_return_token, return_token
from bot.audience.tokens import TEST_READER, read_unsubscribe_token
from bot.model import Newsletter
from bot.rendering.languages import long_date
from bot.store.published import latest_number
from bot.web.describing import CONFIRM, LEAVE, PREFER, SUBSCRIBE, page
from bot.web.pages import Pages
from bot.web.places import Places
from bot.web.visitor import network_of

Clock = Callable[[], datetime]
ONE_CLICK = b"List-Unsubscribe=One-Click"
_ONE_CLICK_PART = b'name="List-Unsubscribe"'


def utc_now() -> datetime:
    """The clock on the wall."""
    return datetime.now(UTC)


def routes(pages: Pages, clock: Clock = utc_now) -> APIRouter:
    """All of them. ``clock`` is the time for whatever the pages decide."""
    router = APIRouter(default_response_class=HTMLResponse)
    desk = _Desk(pages, clock, Departures(pages.workspace))

    @router.get("/subscribe", summary="The sign-up form", responses=page(200))
    def subscribe(request: Request) -> Response:
        """``?newsletter=`` ticks one of them."""
        wanted = tuple(request.query_params.getlist("newsletter"))
        return desk.form(pages.language(request), chosen=wanted)

    @router.post(
        "/subscribe",
        summary="Ask for newsletters",
        responses=page(200, 400, 408, 413, 422, 429, 503),
        **SUBSCRIBE,
    )
    async def ask(request: Request) -> Response:
        """The same answer for every address, known or not; what happens next happens in another process."""
        return await desk.ask(request, await _form(request))

    @router.get("/c/{token}", summary="Whether to confirm", responses=page(200, 400, 410, 503))
    def look(request: Request, token: str) -> Response:
        """Shows a button."""
        return desk.confirm_page(request, token)

    @router.post(
        "/c/{token}", summary="Confirm a sign-up", responses=page(200, 400, 410, 413, 503), **CONFIRM
    )
    async def confirm(request: Request, token: str) -> Response:
        """May be repeated."""
        return await desk.places.run(desk.confirm, request, token)

    @router.get("/u/{newsletter}/{token}", summary="Whether to leave", responses=page(200, 400))
    def leave_page(request: Request, newsletter: str, token: str) -> Response:
        """Shows a button."""
        return desk.leave_page(request, newsletter, token)

    @router.post(
        "/u/{newsletter}/{token}",
        summary="Unsubscribe (RFC 8058)",
        responses=page(200, 400, 408, 413, 503),
        **LEAVE,
    )
    async def leave(request: Request, newsletter: str, token: str) -> Response:
        """One click of a mail program, or the button of the page. May be repeated."""
        body = await request.body()
        means = "one click" if ONE_CLICK in body or _ONE_CLICK_PART in body else "page"
        return await desk.places.run(desk.leave, request, newsletter, token, means)

    @router.post(
        "/u/{newsletter}/{token}/back",
        summary="Take back that one left, within a minute",
        responses=page(200, 400, 410, 413, 503),
        **CONFIRM,
    )
    async def take_back(request: Request, newsletter: str, token: str) -> Response:
        """With the token of the page that said so."""
        return await desk.places.run(desk.take_back, request, newsletter, token)

    @router.get("/p/{newsletter}/{token}", summary="A reader's settings", responses=page(200, 400, 410, 503))
    def settings(request: Request, newsletter: str, token: str) -> Response:
        """Shows neither address nor name."""
        return desk.settings(request, newsletter, token)

    @router.post(
        "/p/{newsletter}/{token}",
        summary="Change a reader's settings",
        responses=page(200, 400, 408, 410, 413, 422, 503),
        **PREFER,
    )
    async def change(request: Request, newsletter: str, token: str) -> Response:
        """Keeps them."""
        return await desk.places.run(desk.change, request, newsletter, token, await _form(request))

    @router.get("/reading-safely", summary="Reading safely", responses=page(200))
    def safely(request: Request) -> Response:
        """In the visitor's language."""
        return desk.safely(request, pages.language(request))

    @router.get("/reading-safely/{lang}", summary="Reading safely, in one language", responses=page(200, 404))
    def safely_in(request: Request, lang: str) -> Response:
        """404 for a language that the pages do not speak."""
        if lang not in pages.layout.languages:
            raise HTTPException(404)
        return desk.safely(request, lang)

    return router


@dataclass(frozen=True)
class _Desk:
    """Reads what came in, asks the use cases, and picks the page."""

    pages: Pages
    clock: Clock
    departures: Departures
    places: Places = field(default_factory=Places)

    # ------------------------------------------------------------------ coming

    def form(
        self,
        lang: str,
        *,
        address: str = "",
        chosen: tuple[str, ...] = (),
        wrong: tuple[joining.Wrong, ...] = (),
    ) -> Response:
        """The sign-up form; what was typed stays in it, to be mended."""
        here = self.pages.workspace
        mailings = here.settings.mailings
        return self.pages.private(
            "subscribe",
            lang,
            status=422 if wrong else 200,
            mailings=mailings,
            chosen=tuple(mailing.name for mailing in mailings if mailing.name in chosen),
            address=address,
            wrong=tuple(wrong),
            stamp=form_stamp(here.settings.signing_keys, self.clock()),
            languages=self.pages.layout.languages,
            agreed=joining.wording(here, lang).body,
            others=self.pages.others("/subscribe?lang=", lang),
        )

    async def ask(self, request: Request, fields: FormData) -> Response:
        here, now = self.pages.workspace, self.clock()
        lang = self.pages.nearest([_text(fields, "page"), self.pages.language(request)])
        filled = joining.Form(
            address=_text(fields, "address"),
            newsletters=tuple(dict.fromkeys(_texts(fields, "newsletter"))),
            lang=self.pages.nearest([_text(fields, "lang"), lang]),
            stamp=_text(fields, "stamp"),
            trap=_text(fields, "website"),
            ip=self._network(request),
        )
        site = str(request.base_url).rstrip("/") if here.mode == "rehearsal" else ""
        answer = await self.places.run(joining.ask, here, filled, now=now, site=site)
        if answer.wrong:
            return await run_in_threadpool(
                self.form, lang, address=filled.address, chosen=filled.newsletters, wrong=answer.wrong
            )
        if answer.full:
            return await run_in_threadpool(self._full, lang, answer.full, now)
        return await run_in_threadpool(self.pages.private, "sent", lang)

    def _full(self, lang: str, full: joining.Full, now: datetime) -> Response:
        """No form is taken before the next hour of the clock begins."""
        page = self._refused(lang, 429, f"full_{full}")
        page.headers["retry-after"] = str(3600 - int(now.timestamp()) % 3600)
        return page

    def confirm_page(self, request: Request, token: str) -> Response:
        lang = self.pages.language(request)
        signup = read_confirm_token(self.pages.workspace.settings.signing_keys, token)
        if signup is None:
            return self._refused(lang, 400, "forged")
        asked = self.pages.workspace.joining.pending(signup, self.clock())
        if asked is None:
            return self._refused(lang, 410, "expired")
        lang = self.pages.nearest([request.query_params.get("lang", ""), asked.lang])
        return self.pages.private(
            "confirm", lang, mailings=self._known(asked.newsletters), masthead="", signup=False
        )

    def confirm(self, request: Request, token: str) -> Response:
        lang = self.pages.language(request)
        signup = read_confirm_token(self.pages.workspace.settings.signing_keys, token)
        if signup is None:
            return self._refused(lang, 400, "forged")
        done = joining.confirm(self.pages.workspace, signup, now=self.clock(), ip=self._network(request))
        if done is None or not done.subscriber:
            return self._refused(lang, 410, "expired")
        lang = self.pages.nearest([done.lang])
        known = self._known(done.newsletters)
        return self.pages.private(
            "confirmed",
            lang,
            mailings=known,
            latest=self._latest([mailing.name for mailing in known]),
            masthead="",
            signup=False,
        )

    # ------------------------------------------------------------------ leaving

    def leave_page(self, request: Request, newsletter: str, token: str) -> Response:
        """The same page for whoever has left already: it says nothing about anybody."""
        lang = self._language_of(request, newsletter)
        reader = self._reader(newsletter, token)
        if reader is None:
            return self._refused(lang, 400, "forged")
        if reader == TEST_READER:
            return self._told_of_test(lang, "leave")
        return self.pages.private(
            "unsubscribe",
            lang,
            newsletter=self._named(newsletter),
            name=newsletter,
            token=token,
            masthead="",
            signup=False,
        )

    def leave(self, request: Request, newsletter: str, token: str, means: str) -> Response:
        lang = self._language_of(request, newsletter)
        reader = self._reader(newsletter, token)
        if reader is None:
            return self._refused(lang, 400, "forged")
        if reader == TEST_READER:
            return self._told_of_test(lang, "leave")
        departure = self.departures.leave(
            reader, newsletter, now=self.clock(), means=means, ip=self._network(request)
        )
        keys = self.pages.workspace.settings.signing_keys
        return self.pages.private(
            "left",
            lang,
            name=newsletter,
            undo=return_token(keys, departure=departure, newsletter=newsletter),
            latest=self._latest([newsletter]),
            masthead="",
            signup=False,
        )

    def take_back(self, request: Request, newsletter: str, token: str) -> Response:
        lang = self._language_of(request, newsletter)
        keys = self.pages.workspace.settings.signing_keys
        departure = read_return_token(keys, token, newsletter=newsletter)
        if departure is None:
            return self._refused(lang, 400, "forged")
        now, ip = self.clock(), self._network(request)
        if not self.departures.take_back(departure, newsletter, now=now, ip=ip):
            return self._refused(lang, 410, "late")
        return self.pages.private("back", lang, latest=self._latest([newsletter]), masthead="", signup=False)

    def _latest(self, newsletters: Sequence[str]) -> list[tuple[str, str]]:
        """The newest issue of each that has one: its newsletter's title and its path."""
        here = self.pages.workspace
        numbers = {name: latest_number(here.engine, here.mode, name) for name in newsletters}
        return [(self._named(name), f"/issues/{name}/{n}") for name, n in numbers.items() if n is not None]

    # ------------------------------------------------------------------ settings

    def settings(
        self,
        request: Request,
        newsletter: str,
        token: str,
        *,
        saved: bool = False,
        wrong: str = "",
        page: str = "",
    ) -> Response:
        lang = self._language_of(request, newsletter)
        reader = self._reader(newsletter, token)
        if reader is None:
            return self._refused(lang, 400, "forged")
        if reader == TEST_READER:
            return self._told_of_test(lang, "prefer")
        kept = self.pages.workspace.leaving.preferences(reader, newsletter)
        if kept is None:
            return self._refused(lang, 410, "gone")
        lang = self.pages.nearest([page, request.query_params.get("lang", ""), kept.lang, lang])
        now, zone = self.clock(), self.pages.workspace.settings.publication.timezone
        until = kept.paused_until if kept.paused_until and kept.paused_until > now else None
        return self.pages.private(
            "preferences",
            lang,
            status=422 if wrong else 200,
            newsletter=self._named(newsletter),
            name=newsletter,
            token=token,
            kept=kept,
            reads=self.pages.nearest([kept.lang, lang]),
            paused=long_date(until.astimezone(zone).date(), lang) if until else "",
            first_day=(now.astimezone(zone).date() + preferences.DAY).isoformat(),
            last_day=(now.astimezone(zone).date() + preferences.LONGEST).isoformat(),
            languages=self.pages.layout.languages,
            saved=saved,
            wrong=wrong,
            masthead="",
            signup=False,
        )

    def change(self, request: Request, newsletter: str, token: str, fields: FormData) -> Response:
        reader = self._reader(newsletter, token)
        if reader is not None and reader != TEST_READER:
            lang = _text(fields, "lang")
            wish = preferences.Wish(
                lang=lang if lang in self.pages.layout.languages else "",
                form=_text(fields, "form"),
                pause=_text(fields, "pause"),
                day=_text(fields, "day"),
            )
            try:
                preferences.change(self.pages.workspace, reader, newsletter, wish, now=self.clock())
            except ValueError:
                return self.settings(request, newsletter, token, wrong="date", page=_text(fields, "page"))
        return self.settings(request, newsletter, token, saved=True, page=_text(fields, "page"))

    # ------------------------------------------------------------------ reading safely, and what all need

    def safely(self, request: Request, lang: str) -> Response:
        body = self.pages.layout.page(
            "reading-safely", lang, others=self.pages.others("/reading-safely/", lang)
        )
        return self.pages.public(request, body, lang)

    def _told_of_test(self, lang: str, what: str) -> Response:
        """A link of a test mail says what it does in the real one, and changes nothing."""
        return self.pages.private("test-link", lang, what=what, masthead="", signup=False)

    def _reader(self, newsletter: str, token: str) -> str | None:
        keys = self.pages.workspace.settings.signing_keys
        return read_unsubscribe_token(keys, token, newsletter=newsletter)

    def _named(self, name: str) -> str:
        """The newsletter's title; nothing for one that is no longer published."""
        return next((m.title for m in self.pages.workspace.settings.mailings if m.name == name), "")

    def _known(self, names: tuple[str, ...]) -> list[Newsletter]:
        return [m for m in self.pages.workspace.settings.mailings if m.name in names]

    def _language_of(self, request: Request, newsletter: str) -> str:
        table = self.pages.workspace.settings.newsletters.get(newsletter)
        asked = [request.query_params.get("lang", ""), self.pages.language(request)]
        return self.pages.nearest([*asked, (table and table.language) or ""])

    def _network(self, request: Request) -> str:
        return network_of(request, trusted_proxies=self.pages.workspace.settings.site.trusted_proxies)

    def _refused(self, lang: str, status: int, what: str) -> Response:
        return self.pages.private(
            "error", lang, status=status, what=what, masthead="", signup=what in ("expired", "late")
        )


async def _form(request: Request) -> FormData:
    """The fields of a form, either way of writing them. 400 for what is neither."""
    try:
        return await request.form(max_files=0, max_fields=50)
    except MultiPartException as error:
        raise HTTPException(400) from error


def _text(fields: FormData, name: str) -> str:
    value = fields.get(name, "")
    return value[:500] if isinstance(value, str) else ""


def _texts(fields: FormData, name: str) -> list[str]:
    return [value[:500] for value in fields.getlist(name) if isinstance(value, str)]
