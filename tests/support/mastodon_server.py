"""A small Mastodon server on loopback, for tests: its protocol, its limits, and its faults on order.

    with MastodonServer() as server:
        server.fail_next("POST /api/v1/statuses", Fault.after(502))
        ...
        assert server.statuses[0].text == "Hello"

It shares no code with the bot. Its count of characters is its own: a plain rule over ``\\X`` and
``https?://`` links, enough for what tests send. Nothing here waits longer than a test asks for.
"""

from __future__ import annotations

import html
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import regex

from tests.support.absurd import Absurd, answer_absurdly

POST_STATUS = "POST /api/v1/statuses"
POST_MEDIA = "POST /api/v2/media"
TOKEN = "secret-token-of-the-test"
KEY_MEMORY = timedelta(hours=1)
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")  # by content, whatever the type that was sent


@dataclass(frozen=True, kw_only=True)
class Status:
    """A published status."""

    id: str
    text: str
    created_at: datetime
    visibility: str = "public"
    spoiler_text: str = ""
    sensitive: bool = False
    language: str | None = None
    media_ids: tuple[str, ...] = ()
    in_reply_to_id: str | None = None
    key: str | None = None
    edited_at: datetime | None = None


@dataclass(kw_only=True)
class Upload:
    """An uploaded file; ``checks`` answers of 206 come before the 200."""

    id: str
    file_name: str
    mime_type: str
    data: bytes
    description: str | None
    checks: int = 0
    attached: bool = False


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to one request instead of the usual."""

    status: int = 0  # answer with this; 0: as usual
    body: bytes = b'{"error": "ordered by the test"}'
    headers: tuple[tuple[str, str], ...] = ()
    do_it: bool = False  # do the work first, then answer as said
    drop: bool = False  # close the connection without an answer
    hold: bool = False  # answer only when the server is released or closed
    content_type: str = "application/json"
    absurd: Absurd | None = None  # say this, with the status, instead of a body

    @classmethod
    def before(cls, status: int, *, headers: dict[str, str] | None = None, error: str = "") -> Fault:
        """Refuse without doing anything."""
        body = json.dumps({"error": error}).encode() if error else cls.body
        return cls(status=status, headers=tuple((headers or {}).items()), body=body)

    @classmethod
    def after(cls, status: int) -> Fault:
        """Do it, then answer with this status."""
        return cls(status=status, do_it=True, body=b"<html>Bad gateway</html>", content_type="text/html")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    form: list[tuple[str, str]] = field(default_factory=list)

    @property
    def fields(self) -> dict[str, str]:
        return {name: value for name, value in self.form if not name.endswith("[]")}


class MastodonServer:
    """One server with one account. Every public attribute may be read and set by the test."""

    def __init__(self, *, version: str = "4.5.1", max_characters: int = 500, knows_keys: bool = True) -> None:
        self.token, self.version, self.max_characters = TOKEN, version, max_characters
        self.knows_keys, self.account = knows_keys, "broadside"
        self.scopes = ["read", "write"]
        self.statuses: list[Status] = []
        self.uploads: dict[str, Upload] = {}
        self.requests: list[Seen] = []
        self.instance_v2: dict[str, Any] | None = self._instance()
        self.instance_v1: dict[str, Any] | None = None
        self.media_v2 = True
        self.media_checks = 0  # how often a new upload answers 206 first
        self.keep_descriptions = True
        self.visibility: str | None = None  # what every status is made, whatever was asked
        self.forget_text = False  # answer 200 and publish nothing but an empty status
        self.source_works = True
        self.html: Callable[[str], str] = as_html  # how it shows the words
        self.bad_token = (401, "The access token is invalid")
        self.lists: Callable[[Status], bool] = lambda status: True  # what stands in the account's own list
        self.knows_max_id = True
        self.keeps_language = True
        self.tells_scopes = True
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.headers: dict[str, str] = {}  # added to every answer
        self.one_request_each = False  # keep connections open, and drop the second request on each
        self.released = threading.Event()
        self.delay = 0.0  # seconds before each answer
        self._faults: dict[str, list[Fault]] = defaultdict(list)
        self._lock, self._last_id = threading.RLock(), 110_000_000_000_000_000

    # ------------------------------------------------------------------ life

    def __enter__(self) -> MastodonServer:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.mastodon = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    # ------------------------------------------------------------------ other programs

    @classmethod
    def gotosocial(cls) -> MastodonServer:
        """No keys, 5,000 characters, its own paragraphs and links; it names the kind of program it is."""
        server = cls(version="0.17.3+git-1", max_characters=5000, knows_keys=False)
        server.html, server.tells_scopes = as_gotosocial_html, False
        return server

    @classmethod
    def takahe(cls) -> MastodonServer:
        """No keys, and 400 for a bad token."""
        server = cls(version="takahe/0.11.0", knows_keys=False)
        server.bad_token, server.source_works, server.tells_scopes = (
            (400, "Invalid Bearer token"),
            False,
            False,
        )
        return server

    @classmethod
    def snac(cls) -> MastodonServer:
        """No keys, ``unlisted`` made private and never listed, one page of posts, 422 for a bad token."""
        server = cls(version="4.0.0 (not true; it is snac)", knows_keys=False)
        server.bad_token, server.source_works, server.tells_scopes = (422, "Unprocessable"), False, False
        server.visibility, server.lists = "private", lambda status: status.visibility != "private"
        server.knows_max_id, server.keeps_language = False, False
        server.html = lambda text: as_html(text.split("&")[0])
        return server

    # ------------------------------------------------------------------ orders of the test

    def fail_next(self, request: str, *faults: Fault) -> None:
        """The next requests like ``request`` ("POST /api/v1/statuses") meet these faults, one each."""
        self._faults[request] += faults

    def count(self, request: str) -> int:
        """How many such requests came."""
        return sum(f"{seen.method} {seen.path}" == request for seen in self.requests)

    def last(self, request: str) -> Seen:
        """The newest such request."""
        return next(s for s in reversed(self.requests) if f"{s.method} {s.path}" == request)

    def add_status(self, text: str, *, created_at: datetime | None = None, **more: Any) -> Status:
        """A status that is already there, written by someone at the account."""
        status = Status(id=self._next_id(), text=text, created_at=created_at or self.clock(), **more)
        self.statuses.append(status)
        return status

    # ------------------------------------------------------------------ the service

    def handle(self, seen: Seen, file: Upload | None) -> Fault:
        """The answer to one request, as a Fault that is none."""
        with self._lock:
            self.requests.append(seen)
            waiting = self._faults[f"{seen.method} {seen.path}"]
            fault = waiting.pop(0) if waiting else Fault()
            if fault.status and not fault.do_it:
                return fault
            if fault.drop and not fault.do_it:
                return fault
            status, body = self._route(seen, file)
        if fault.do_it:
            return fault
        return replace(fault, status=status, body=json.dumps(body).encode())

    def _route(self, seen: Seen, file: Upload | None) -> tuple[int, Any]:
        path = seen.path.rstrip("/")
        if path in {"/api/v2/instance", "/api/v1/instance"} and seen.method == "GET":
            told = self.instance_v2 if "v2" in path else self.instance_v1
            return (200, told) if told is not None else (404, {"error": "Not Found"})
        if seen.headers.get("authorization") != f"Bearer {self.token}":
            number, words = self.bad_token
            return number, {"error": words}
        if self._is_out_of_scope(seen.method, path):
            return 403, {"error": "This action is outside the authorized scopes"}
        for method, pattern, answer in self._routes():
            found = re.fullmatch(pattern, path)
            if found and method == seen.method:
                result: tuple[int, Any] = answer(seen, file, *found.groups())
                return result
        return 404, {"error": "Not Found"}

    def _is_out_of_scope(self, method: str, path: str) -> bool:
        kind = "read" if method == "GET" else "write"
        part = re.match(r"/api/v\d/(statuses|media)", path)
        return bool(part) and not {kind, f"{kind}:{part[1]}"} & set(self.scopes)

    def _routes(self) -> Iterator[tuple[str, str, Any]]:
        yield "POST", "/api/v1/statuses", self._post_status
        yield "GET", r"/api/v1/statuses/(\d+)/source", self._source
        yield "GET", r"/api/v1/statuses/(\d+)", self._get_status
        yield "PUT", r"/api/v1/statuses/(\d+)", self._edit
        yield "DELETE", r"/api/v1/statuses/(\d+)", self._delete
        yield "GET", r"/api/v1/accounts/verify_credentials", lambda *_: (200, self._account())
        yield "GET", r"/api/v1/accounts/(\d+)/statuses", self._account_statuses
        yield "GET", r"/api/v1/apps/verify_credentials", self._app
        yield "POST", r"/api/v1/media", self._post_media
        if self.media_v2:
            yield "POST", r"/api/v2/media", self._post_media
        yield "GET", r"/api/v1/media/(\d+)", self._get_media

    # ------------------------------------------------------------------ statuses

    def _post_status(self, seen: Seen, file: Upload | None) -> tuple[int, Any]:
        key = seen.headers.get("idempotency-key")
        if key and self.knows_keys and (old := self._by_key(key)):
            return 200, self._json(old)
        form = seen.fields
        media = [value for name, value in seen.form if name == "media_ids[]"]
        if error := self._refusal(form, media):
            return 422, {"error": error}
        text, note = form.get("status", "").strip(), form.get("spoiler_text", "")
        status = Status(
            id=self._next_id(),
            text="" if self.forget_text else text,
            created_at=self.clock(),
            visibility=self.visibility or form.get("visibility", "public"),
            spoiler_text=note,
            sensitive=bool(note) or form.get("sensitive", "") in {"1", "true", "True"},
            language=form.get("language") if self.keeps_language else None,
            media_ids=tuple(media),
            in_reply_to_id=form.get("in_reply_to_id"),
            key=key,
        )
        for media_id in media:
            self.uploads[media_id].attached = True
        self.statuses.append(status)
        return 200, self._json(status)

    def _refusal(self, form: dict[str, str], media: list[str]) -> str:
        text, note = form.get("status", ""), form.get("spoiler_text", "")
        if not text.strip() and not media:
            return "Validation failed: Text can't be blank"
        if characters(text, note) > self.max_characters:
            return f"Validation failed: Text character limit of {self.max_characters} exceeded"
        if len(media) > 4:
            return "Cannot attach more than 4 files"
        for media_id in media:
            upload = self.uploads.get(media_id)
            if upload is None or upload.attached:
                return f"Media {media_id} not found or already attached to another post"
            if upload.checks > 0:
                return "Cannot attach files that have not finished processing. Try again in a moment!"
        return ""

    def _by_key(self, key: str) -> Status | None:
        fresh = self.clock() - KEY_MEMORY
        return next((s for s in self.statuses if s.key == key and s.created_at > fresh), None)

    def _get_status(self, seen: Seen, file: Upload | None, status_id: str) -> tuple[int, Any]:
        status = self._find(status_id)
        return (200, self._json(status)) if status else (404, {"error": "Record not found"})

    def _source(self, seen: Seen, file: Upload | None, status_id: str) -> tuple[int, Any]:
        status = self._find(status_id)
        if status is None or not self.source_works:
            return 404, {"error": "Record not found"}
        return 200, {"id": status.id, "text": status.text, "spoiler_text": status.spoiler_text}

    def _edit(self, seen: Seen, file: Upload | None, status_id: str) -> tuple[int, Any]:
        status = self._find(status_id)
        if status is None:
            return 404, {"error": "Record not found"}
        form = seen.fields
        if error := self._refusal({"spoiler_text": status.spoiler_text} | form, []):
            return 422, {"error": error}
        note = form.get("spoiler_text", status.spoiler_text)
        edited = replace(status, text=form["status"], spoiler_text=note, edited_at=self.clock())
        self.statuses[self.statuses.index(status)] = edited
        return 200, self._json(edited)

    def _delete(self, seen: Seen, file: Upload | None, status_id: str) -> tuple[int, Any]:
        status = self._find(status_id)
        if status is None:
            return 404, {"error": "Record not found"}
        self.statuses.remove(status)
        return 200, self._json(status) | {"text": status.text}

    def _account_statuses(self, seen: Seen, file: Upload | None, account_id: str) -> tuple[int, Any]:
        asked = seen.fields
        newest = sorted(self.statuses, key=lambda s: int(s.id), reverse=True)
        newest = [s for s in newest if self.lists(s)]
        if (before := asked.get("max_id")) and self.knows_max_id:
            newest = [s for s in newest if int(s.id) < int(before)]
        return 200, [self._json(s) for s in newest[: min(int(asked.get("limit", 20)), 40)]]

    # ------------------------------------------------------------------ media

    def _post_media(self, seen: Seen, file: Upload | None) -> tuple[int, Any]:
        if file is None:
            return 400, {"error": "param is missing: file"}
        if not file.data.startswith(PICTURES):
            return 422, {"error": "Validation failed: File content type is invalid"}
        if len(file.description or "") > 1500:
            return 422, {"error": "Validation failed: Description is too long (maximum is 1500 characters)"}
        file.id = self._next_id()
        is_old_way = seen.path.startswith("/api/v1/")
        file.checks = 0 if is_old_way else self.media_checks
        if not self.keep_descriptions:
            file.description = None
        self.uploads[file.id] = file
        return (202 if file.checks else 200), self._media_json(file)

    def _get_media(self, seen: Seen, file: Upload | None, media_id: str) -> tuple[int, Any]:
        upload = self.uploads.get(media_id)
        if upload is None or upload.attached:
            return 404, {"error": "Record not found"}
        if upload.checks:
            upload.checks -= 1
            return 206, self._media_json(replace(upload, checks=1))
        return 200, self._media_json(upload)

    def _media_json(self, upload: Upload) -> dict[str, Any]:
        url = None if upload.checks else f"{self.url}/media/{upload.id}"
        told = {"id": upload.id, "type": "image", "url": url, "preview_url": url, "remote_url": None}
        return told | {"meta": {}, "description": upload.description, "blurhash": None}

    # ------------------------------------------------------------------ what it says

    def _instance(self) -> dict[str, Any]:
        return {
            "domain": "127.0.0.1",
            "title": "A server for tests",
            "version": self.version,
            "source_url": "https://github.com/mastodon/mastodon",
            "description": "",
            "languages": ["en"],
            "api_versions": {"mastodon": 7},
            "configuration": {
                "urls": {"streaming": "wss://127.0.0.1"},
                "statuses": {
                    "max_characters": self.max_characters,
                    "max_media_attachments": 4,
                    "characters_reserved_per_url": 23,
                },
                "media_attachments": {"description_limit": 1500, "supported_mime_types": ["image/png"]},
                "polls": {"max_options": 4},
            },
            "rules": [],
        }

    def _account(self) -> dict[str, Any]:
        name = {"id": "1", "username": self.account, "acct": self.account, "display_name": self.account}
        page = {"url": f"{self.url}/@{self.account}", "uri": f"{self.url}/users/{self.account}", "note": ""}
        counts = {"followers_count": 0, "following_count": 0, "statuses_count": len(self.statuses)}
        flags = {"locked": False, "bot": True, "discoverable": True, "group": False}
        pictures = dict.fromkeys(("avatar", "avatar_static", "header", "header_static"), self.url)
        lists = {"emojis": [], "fields": [], "created_at": "2026-01-01T00:00:00.000Z"}
        source = {"source": {"privacy": "public", "sensitive": False, "language": None, "note": ""}}
        return name | page | counts | flags | pictures | lists | source

    def _app(self, seen: Seen, file: Upload | None) -> tuple[int, Any]:
        told = {"scopes": self.scopes} if self.tells_scopes else {}
        return 200, {"id": "1", "name": "Broadside", "website": None} | told

    def _json(self, status: Status) -> dict[str, Any]:
        words = {"id": status.id, "content": self.html(status.text), "spoiler_text": status.spoiler_text}
        when = {
            "created_at": stamp(status.created_at),
            "edited_at": status.edited_at and stamp(status.edited_at),
        }
        page = {
            "uri": f"{self.url}/users/{self.account}/statuses/{status.id}",
            "url": f"{self.url}/@{self.account}/{status.id}",
        }
        how = {"visibility": status.visibility, "sensitive": status.sensitive, "language": status.language}
        media = [self._media_json(self.uploads[i]) for i in status.media_ids]
        none = dict.fromkeys(("in_reply_to_account_id", "reblog", "card", "poll", "application"))
        lists: dict[str, Any] = {"mentions": [], "tags": [], "emojis": [], "account": self._account()}
        counts = {"replies_count": 0, "reblogs_count": 0, "favourites_count": 0}
        reply = {"in_reply_to_id": status.in_reply_to_id, "media_attachments": media}
        return words | when | page | how | none | lists | counts | reply

    def _find(self, status_id: str) -> Status | None:
        return next((s for s in self.statuses if s.id == status_id), None)

    def _next_id(self) -> str:
        self._last_id += 1
        return str(self._last_id)


def characters(text: str, note: str) -> int:
    """This server's own count: graphemes of note and text; a link is 23, of a far mention the name."""
    text = re.sub(r"(?<!\w)https?://[\w.-]+\.[a-z]{2,}(/[^\s<>()]*)?", "L" * 23, text)
    text = re.sub(r"(?<!\w)(@\w+)@[\w.-]+\w", r"\1", text)
    return len(regex.findall(r"\X", note + text))


def as_html(text: str) -> str:
    """As Mastodon shows it: paragraphs, line breaks, links with hidden parts, short mentions."""
    safe = html.escape(text, quote=False)
    safe = re.sub(r"https?://\S+", _link, safe)
    safe = re.sub(r"(?<![\w/])@(\w+)@([\w.-]+\w)", r'<span class="h-card">@<span>\1</span></span>', safe)
    safe = re.sub(r"(?<!\w)#(\w+)", r'<a rel="tag" href="/tags/\1">#<span>\1</span></a>', safe)
    paragraphs = (part.replace("\n", "<br />") for part in safe.split("\n\n"))
    return "".join(f"<p>{part}</p>" for part in paragraphs) if text else ""


def as_gotosocial_html(text: str) -> str:
    """Links in full, ``<br>``, mentions with their domain."""
    safe = html.escape(text)
    safe = re.sub(r"https?://\S+", r'<a href="\g<0>" rel="nofollow">\g<0></a>', safe)
    safe = re.sub(r"(?<!\w)#(\w+)", r'<a href="/tags/\1" class="mention hashtag">#<span>\1</span></a>', safe)
    return "".join(f"<p>{part}</p>" for part in safe.replace("\n", "<br>").split("<br><br>"))


def _link(found: re.Match[str]) -> str:
    scheme, rest = found.group().split("://", 1)
    shown = f'<span class="invisible">{scheme}://</span><span class="ellipsis">{rest[:30]}</span>'
    return f'<a href="{found.group()}">{shown}<span class="invisible">{rest[30:]}</span></a>'


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def mastodon(self) -> MastodonServer:
        server: MastodonServer = self.server.mastodon  # type: ignore[attr-defined]
        return server

    served = False

    def handle_all(self) -> None:
        if self.mastodon.one_request_each:
            self.close_connection = self.served
            if self.served:
                return
        self.served = True
        target = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        form, file = _parse(self.headers.get("Content-Type") or "", body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = parse_qsl(target.query, keep_blank_values=True)
        seen = Seen(method=self.command, path=target.path, headers=headers, form=asked + form)
        self._answer(self.mastodon.handle(seen, file))

    do_GET = do_POST = do_PUT = do_DELETE = handle_all  # noqa: N815 - the names http.server looks for

    def _answer(self, answer: Fault) -> None:
        if self.mastodon.delay:
            self.mastodon.released.wait(self.mastodon.delay)
        if answer.hold:
            self.mastodon.released.wait(20)
        if answer.drop or answer.hold:
            self.close_connection = True
            return
        if answer.absurd:
            self.close_connection = True
            answer_absurdly(answer.absurd, self.wfile.write, self.mastodon.released, status=answer.status)
            return
        self.send_response(answer.status)
        for name, value in [*answer.headers, *self.mastodon.headers.items()]:
            self.send_header(name, value)
        self.send_header("Content-Type", f"{answer.content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Silent."""


def _parse(content_type: str, body: bytes) -> tuple[list[tuple[str, str]], Upload | None]:
    if content_type.startswith("multipart/form-data"):
        return _parse_multipart(content_type, body)
    if content_type.startswith("application/json"):
        return list(_flat(json.loads(body or b"{}"))), None
    return parse_qsl(body.decode(), keep_blank_values=True), None


def _flat(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, list):
            yield from ((f"{name}[]", str(one)) for one in value)
        elif value is not None:
            yield name, str(value)


def _parse_multipart(content_type: str, body: bytes) -> tuple[list[tuple[str, str]], Upload | None]:
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    form: dict[str, str] = {}
    upload: Upload | None = None
    for part in BytesParser(policy=policy.HTTP).parsebytes(head + body).iter_parts():
        name = str(part.get_param("name", header="content-disposition"))
        data = part.get_payload(decode=True)
        assert isinstance(data, bytes)
        if name == "file":
            named, kind = part.get_filename() or "", part.get_content_type()
            upload = Upload(id="", file_name=named, mime_type=kind, data=data, description=None)
        else:
            form[name] = data.decode()
    if upload is not None:
        upload.description = form.get("description")
    return list(form.items()), upload
