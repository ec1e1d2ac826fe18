"""A Mastodon account as a channel."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from bot.channels.base import ChannelContext, Limits, Request
from bot.channels.mastodon import compare, doctor, search
from bot.channels.mastodon.client import Client, Failed
from bot.channels.mastodon.failures import blamed, failure, harmless
from bot.channels.mastodon.memory import remember, remembered
from bot.channels.mastodon.options import Options
from bot.channels.mastodon.server import KEY_WINDOW, read_server
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.metadata import to_publish
from bot.model import Delivery, Finding, Media, Message, Receipt, Recipient

# How long a picture may be in the making before the post is put off: 16 seconds in all.
MEDIA_WAITS = (0.2, 0.4, 0.8, 1.6, 3.0, 5.0, 5.0)

# A server without keys may still be at work on a post whose answer was lost: "not there" is too early then.
SETTLING = timedelta(minutes=1)

NOBODYS = "0"  # the id of no status and no picture

_REGIONAL = {"zh-CN", "zh-HK", "zh-TW"}  # the only ones with a region on Mastodon's own list


def _now() -> datetime:
    return datetime.now(UTC)


class MastodonChannel:
    """One account on one server. Nothing is asked of the network before the first call that needs it."""

    type: ClassVar[str] = "mastodon"

    def __init__(
        self, options: Options, context: ChannelContext, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self.name, self.media_waits = context.name, MEDIA_WAITS
        self._options, self._clock, self._published = options, clock, context.published
        self._client = Client(options, context.user_agent)
        self._memory = context.told
        self._server, self._is_fresh = remembered(self._memory, options.api_base_url), False
        self._uploaded: dict[str, list[str]] = {}  # by delivery key: 30 uploads in 30 minutes are allowed
        self._unready: set[str] = set()  # uploads that the server is still processing

    @property
    def limits(self) -> Limits:
        return self._server.limits(max_characters=self._options.max_characters)

    def length(self, text: str) -> int:
        """Without the content note, whose graphemes count on top."""
        return self._server.length(text)

    def request(self, message: Message, to: Recipient, *, key: str) -> Request:
        """The form of ``POST /api/v1/statuses`` as JSON; pictures are uploaded first, each with its text."""
        media = [{"file": m.path.name, "mime_type": m.mime_type, "description": m.alt} for m in message.media]
        body = {
            "method": "POST",
            "url": f"{self._options.api_base_url}/api/v1/statuses",
            "headers": {"Idempotency-Key": key},
            "form": self._form(message),
            "media": media,
        }
        return Request(
            suffix=".json",
            body=(json.dumps(body, ensure_ascii=False, indent=2) + "\n").encode(),
            summary=self._summary(message),
            media=tuple(m.path for m in message.media),
        )

    def _receipt(self, status: Mapping[str, Any], message: Message) -> Receipt:
        return compare.receipt(
            status,
            message,
            visibility=self._options.visibility,
            server=self._options.api_base_url,
            language=self._language(message),
        )

    async def refresh(self) -> None:
        with contextlib.suppress(Exception):  # limits stay as they were, and ``assumed`` says so
            server = read_server(await self._client.instance())
            self._server, self._is_fresh = replace(server, read=self._clock()), True
            await asyncio.to_thread(remember, self._memory, self._options.api_base_url, self._server)

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        self._refuse(message)
        if self._server.assumed or not self._is_fresh:
            await self.refresh()
        ids = await self._upload_all(message.media, key)
        status = await self._publish(message, ids, key)
        self._uploaded.pop(key, None)
        return self._receipt(status, message)

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """Look at the account's own statuses. What is surely not there may go again."""
        if self._server.assumed or not self._is_fresh:
            await self.refresh()
        since = delivery.claimed_at or delivery.due
        age = self._clock() - since
        # A later attempt may be put off for longer than the server remembers the key.
        is_safe_again = (
            self._is_fresh and self._server.knows_keys and age < KEY_WINDOW and delivery.attempts <= 1
        )
        try:
            found = await self._client.call(lambda: self._own_status(message, since))
        except UnknownOutcome:
            if is_safe_again:  # the key makes a repeat harmless, whatever the list shows
                return None
            raise
        except Failed as failed:
            self._must_be_safe_again(failed, is_safe_again=is_safe_again)
            return None
        if found is not None:
            return self._receipt(found, message)
        if age < SETTLING and not is_safe_again:
            raise UnknownOutcome(
                "not published so far, but the server may still be at work; look again later"
            )
        return None

    def _own_status(self, message: Message, since: datetime) -> Mapping[str, Any] | None:
        known, visibility = frozenset(self._published()), self._options.visibility
        return search.own_status(self._client.api, message, since, known=known, visibility=visibility)

    async def check(self) -> list[Finding]:
        await self.refresh()
        if not self._options.access_token.get_secret_value():
            return [doctor.no_token(self.name)]
        return [*await self._check_account(), *doctor.assumptions(self.limits, self._server)]

    async def close(self) -> None:
        self._client.close()

    # ----------------------------------------------------------------- the words

    def _form(self, message: Message) -> dict[str, str]:
        """The fields as they go over the wire, without ``media_ids[]``."""
        form = {"status": message.text, "visibility": self._options.visibility}
        form |= {"sensitive": "1" if self._is_sensitive(message) else "0"}
        form |= {"language": self._language(message)} if self._language(message) else {}
        return form | ({"spoiler_text": message.content_note} if message.content_note else {})

    def _is_sensitive(self, message: Message) -> bool:
        return bool(message.content_note) or (bool(message.media) and self._options.sensitive_media)

    def _language(self, message: Message) -> str:
        """ISO 639: "en-GB" is "en"."""
        tag = self._options.language or message.lang
        return tag if tag in _REGIONAL else tag.split("-")[0].lower()

    def _summary(self, message: Message) -> str:
        length = self._server.length(message.text, message.content_note)
        pictures = f", pictures: {len(message.media)}" if message.media else ""
        host = urlsplit(self._options.api_base_url).netloc
        words = f"{length} of {self.limits.characters} characters, {self._options.visibility}{pictures}"
        return f"Mastodon post to {host}: {words}"

    def _refuse(self, message: Message) -> None:
        """What a server would take and get wrong, or what cannot work at all."""
        if not self._options.access_token.get_secret_value():
            problem = f"channel {self.name}: no access_token is set; add it to .env"
            raise PermanentFailure(problem, blame=Blame.SENDER)
        if not message.text.strip():
            # With a content note alone, the server makes the note the text.
            raise PermanentFailure("a post needs words; its text is empty")

    # ----------------------------------------------------------------- the calls

    async def _publish(self, message: Message, ids: list[str], key: str) -> Mapping[str, object]:
        form = self._form(message)
        try:
            status = await self._client.call(
                lambda: self._client.api.status_post(
                    form["status"],
                    media_ids=ids or None,
                    sensitive=form["sensitive"] == "1",
                    visibility=form["visibility"],
                    spoiler_text=form.get("spoiler_text"),
                    language=form.get("language"),
                    idempotency_key=key,
                )
            )
        except Failed as failed:
            raise await self._told(failed, key) from failed.error
        if not isinstance(status, Mapping) or not status.get("id"):
            raise UnknownOutcome("the server answered without the id of a status")
        return status

    async def _told(self, failed: Failed, key: str) -> DeliveryError:
        """The failure that it is. After a refusal for the words the limits are read anew."""
        told = await self._blamed(self._failure(failed, posting=True))
        if not isinstance(told, TemporaryFailure):
            self._uploaded.pop(key, None)
        if isinstance(told, PermanentFailure) and told.blame is Blame.MESSAGE:
            await self.refresh()
        return told

    async def _blamed(self, told: DeliveryError) -> DeliveryError:
        """A message is blamed only while the token works: some servers answer 400 or 422 to a bad one."""
        if not isinstance(told, PermanentFailure) or told.code not in {400, 401, 403, 422}:
            return told
        try:
            await self._client.call(self._client.api.account_verify_credentials)
        except Failed as failed:
            return blamed(told, self._failure(failed))
        return told

    def _failure(self, failed: Failed, *, posting: bool = False) -> DeliveryError:
        keyed = self._is_fresh and self._server.knows_keys
        return failure(failed.error, failed.answer, now=self._clock(), keyed=keyed, posting=posting)

    def _must_be_safe_again(self, failed: Failed, *, is_safe_again: bool) -> None:
        """A token that may not read leaves it to the key; where that does not protect, nobody knows."""
        told = self._failure(failed)
        if not (is_safe_again and told.code in {401, 403, 404}):
            problem = f"own statuses cannot be read: {told.problem}"
            raise UnknownOutcome(problem, code=told.code) from failed.error

    # ----------------------------------------------------------------- pictures

    async def _upload_all(self, media: tuple[Media, ...], key: str) -> list[str]:
        """Ids of the pictures, ready to be attached; any failure fails the post."""
        if key not in self._uploaded:
            self._uploaded[key] = [await self._upload(picture) for picture in media]
        ids = self._uploaded[key]
        for picture, media_id in zip(media, ids, strict=True):
            await self._await_ready(picture, media_id, key)
        return ids

    async def _upload(self, picture: Media) -> str:
        """The new picture's id. A picture whose description the server loses is not posted."""
        try:
            data = await asyncio.to_thread(to_publish, picture.path)
        except OSError as error:
            problem = f"{picture.path.name}: the picture cannot be read: {error.strerror}"
            raise PermanentFailure(problem) from error
        answer = await self._post_media(picture, data)
        if str(answer.get("description") or "").strip() != picture.alt.strip():
            raise PermanentFailure(f"{picture.path.name}: the server did not keep the picture's description")
        if not answer.get("id"):
            raise TemporaryFailure(f"{picture.path.name}: the server answered without the id of a picture")
        if not answer.get("url"):  # 202: it has an id and is still being processed
            self._unready.add(str(answer["id"]))
        return str(answer["id"])

    async def _post_media(self, picture: Media, data: bytes) -> Mapping[str, Any]:
        """Upload, with ``media_api = "auto"`` by the older way where the newer one does not exist."""
        try:
            return await self._client.call(lambda: self._post_file(picture, data))
        except Failed as failed:
            if not self._is_without_v2(failed):
                raise await self._blamed(harmless(self._failure(failed))) from failed.error
        self._client.use_media_v2(wanted=False)
        return await self._post_media(picture, data)

    def _post_file(self, picture: Media, data: bytes) -> Mapping[str, Any]:
        posted: Mapping[str, Any] = self._client.api.media_post(
            # Its name among the parameters is for paths; bytes are read as they are.
            cast(Any, data),
            mime_type=picture.mime_type,
            description=picture.alt or None,
            file_name=picture.path.name,
        )
        return posted

    def _is_without_v2(self, failed: Failed) -> bool:
        may_fall_back = self._options.media_api == "auto" and self._client.uses_media_v2
        return may_fall_back and failed.answer is not None and failed.answer.status in {404, 405}

    async def _await_ready(self, picture: Media, media_id: str, key: str) -> None:
        """A post that goes out before its picture is processed is refused."""
        if media_id not in self._unready:
            return
        for wait in (0.0, *self.media_waits):
            await asyncio.sleep(wait)
            if await self._is_ready(picture, media_id, key):
                self._unready.discard(media_id)
                return
        raise TemporaryFailure(f"{picture.path.name}: the server is still processing the picture")

    async def _is_ready(self, picture: Media, media_id: str, key: str) -> bool:
        try:
            return await self._client.is_media_ready(media_id)
        except Failed as failed:
            told = harmless(self._failure(failed))
            if isinstance(told, PermanentFailure):
                del self._uploaded[key]
            if told.code == 404:
                problem = f"{picture.path.name}: the server has forgotten the picture; it is uploaded again"
                raise TemporaryFailure(problem, code=404) from failed.error
            raise told from failed.error

    # ----------------------------------------------------------------- the doctor

    async def _check_account(self) -> list[Finding]:
        try:
            account = await self._client.call(self._client.api.account_verify_credentials)
        except Failed as failed:
            return [doctor.refused(self.name, self._failure(failed))]
        return [doctor.works(self.name, str(account.get("acct") or "")), *await self._check_scopes()]

    async def _check_scopes(self) -> list[Finding]:
        try:
            app = await self._client.call(self._client.api.app_verify_credentials)
            granted = app.get("scopes")
        except Failed:
            granted = None  # only newer servers tell
        if isinstance(granted, list):
            return doctor.scopes(self.name, granted)
        return doctor.lacking(self.name, [scope for scope in doctor.NEEDED if await self._lacks(scope)])

    async def _lacks(self, scope: str) -> bool:
        """Whether a call that needs this scope, and changes nothing, is forbidden."""
        api = self._client.api
        harmless_calls: Mapping[str, Callable[[], object]] = {
            "write:statuses": lambda: api.status_delete(NOBODYS),
            "write:media": lambda: api.media_update(NOBODYS, description="-"),
            "read:statuses": lambda: api.status(NOBODYS),
        }
        if scope not in harmless_calls:  # reading the account has just worked
            return False
        try:
            await self._client.call(harmless_calls[scope])
        except Failed as failed:
            return failed.answer is not None and failed.answer.status == 403
        return False
