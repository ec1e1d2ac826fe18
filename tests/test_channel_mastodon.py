"""The Mastodon channel against a local server that speaks its protocol and makes its faults on order."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr, ValidationError

from bot.channels.base import ChannelContext
from bot.channels.mastodon import TYPE, Options, connect
from bot.channels.mastodon.channel import MastodonChannel
from bot.channels.mastodon.failures import Answer, retry_after
from bot.channels.mastodon.server import Family, read_server
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.model import Delivery, Level, Media, Message, Recipient, State
from tests.support.mastodon_server import POST_MEDIA, POST_STATUS, TOKEN, Fault, MastodonServer

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
TO = Recipient(id="fediverse")
KEY = "8f14e45fceea167a5a36dedd4bea2543"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
OURS = "The last one of ours, whose id the ledger knows"
DROPPED = Fault(drop=True)
ACCEPTED_AND_DROPPED = Fault(hold=True)


@pytest.fixture
def server() -> Iterator[MastodonServer]:
    with MastodonServer() as running:
        running.clock = lambda: NOW
        yield running


@pytest_asyncio.fixture
async def channel(server: MastodonServer) -> AsyncIterator[MastodonChannel]:
    connected = open_channel(server)
    yield connected
    await connected.close()


@pytest.fixture
def picture(tmp_path: Path) -> Media:
    path = tmp_path / "harbour.png"
    path.write_bytes(PNG)
    return Media(path=path, mime_type="image/png", alt="Cranes over a harbour at dusk")


def open_channel(server: MastodonServer, **more: Any) -> MastodonChannel:
    options = Options(api_base_url=server.url, access_token=SecretStr(TOKEN), **more)
    context = ChannelContext(
        name="fediverse", published=lambda: [s.id for s in server.statuses if s.text == OURS]
    )
    opened = MastodonChannel(options, context, clock=lambda: NOW)
    opened.media_waits = (0.0, 0.0)
    return opened


def post(text: str = "Dockers win, https://example.org/dockers", **more: Any) -> Message:
    return Message(kind="post", lang="en-GB", text=text, **more)


def delivery(*, minutes_ago: float = 10, attempts: int = 1) -> Delivery:
    since = NOW - timedelta(minutes=minutes_ago)
    return Delivery(
        key=KEY,
        kind="post",
        subject="dockers",
        channel="fediverse",
        recipient=TO,
        message="digest",
        due=since,
        state=State.UNKNOWN,
        attempts=attempts,
        claimed_at=since,
    )


async def failure_of(
    channel: MastodonChannel, message: Message | None = None, *, key: str = KEY
) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await channel.send(message or post(), TO, key=key)
    return caught.value


# --------------------------------------------------------------------------- sending


async def test_a_post_arrives_with_its_note_language_visibility_and_key(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """What the message says is what is published; the receipt names it."""
    message = post("Two people died.\n\nhttps://example.org/a?b=1&c=ü", content_note="death")

    receipt = await channel.send(message, TO, key=KEY)

    [status] = server.statuses
    assert (status.text, status.spoiler_text) == (message.text, "death")
    assert (status.visibility, status.language, status.sensitive) == ("unlisted", "en", True)
    assert status.key == KEY
    assert (receipt.remote_id, receipt.note) == (status.id, "")
    assert receipt.url == f"{server.url}/@broadside/{status.id}"


async def test_the_same_key_never_makes_a_second_post(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """A repeat gets the first one's receipt."""
    first = await channel.send(post(), TO, key=KEY)
    second = await channel.send(post(), TO, key=KEY)

    assert first == second
    assert len(server.statuses) == 1


async def test_the_request_on_paper_is_the_request_on_the_wire(
    server: MastodonServer, channel: MastodonChannel, picture: Media
) -> None:
    """Rehearsal shows the exact form, header and pictures, and no token."""
    message = post(content_note="strike", media=(picture,))
    shown = channel.request(message, TO, key=KEY)

    await channel.send(message, TO, key=KEY)

    paper = json.loads(shown.body)
    wire = server.last(POST_STATUS)
    assert paper["form"] == wire.fields
    assert paper["headers"]["Idempotency-Key"] == wire.headers["idempotency-key"]
    assert f"{paper['method']} {paper['url']}" == f"POST {server.url}{wire.path}"
    [upload] = server.uploads.values()
    described = {"file": upload.file_name, "mime_type": upload.mime_type, "description": upload.description}
    assert paper["media"] == [described]
    assert upload.data == PNG
    assert shown.suffix == ".json"
    assert shown.media == (picture.path,)
    assert shown.summary.endswith(": 42 of 500 characters, unlisted, pictures: 1")
    assert TOKEN not in shown.body.decode() + shown.summary


async def test_options_decide_visibility_language_and_hidden_pictures(
    server: MastodonServer, picture: Media
) -> None:
    """An operator's choice stands over the item's."""
    channel = open_channel(server, visibility="public", language="th", sensitive_media=True)

    await channel.send(post(media=(picture,)), TO, key=KEY)
    await channel.close()

    [status] = server.statuses
    assert (status.visibility, status.language, status.sensitive) == ("public", "th", True)


async def test_a_downgraded_post_is_told(server: MastodonServer) -> None:
    """A silenced account's public posts become unlisted; a person should know."""
    channel = open_channel(server, visibility="public")
    server.visibility = "unlisted"

    receipt = await channel.send(post(), TO, key=KEY)
    await channel.close()

    assert receipt.note == "the server made it unlisted"


async def test_a_post_published_without_its_words_is_told(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """One server answers 200 to a form it does not read."""
    server.forget_text = True

    receipt = await channel.send(post(), TO, key=KEY)

    assert receipt.note == "the server published it without words"


async def test_a_note_without_words_is_refused_before_the_call(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """The server would make the note the text."""
    failure = await failure_of(channel, post("  ", content_note="death"))

    assert isinstance(failure, PermanentFailure)
    assert server.requests == []


async def test_without_a_token_nothing_is_asked(server: MastodonServer) -> None:
    """A rehearsal works without one; sending says what is missing."""
    channel = MastodonChannel(Options(api_base_url=server.url), ChannelContext(name="fediverse"))

    failure = await failure_of(channel)
    [finding] = await channel.check()
    await channel.close()

    assert isinstance(failure, PermanentFailure)
    assert failure.blame is Blame.SENDER
    assert "access_token" in str(failure)
    assert (finding.level, finding.rule) == (Level.BLOCK, "mastodon.token.missing")


async def test_headers_that_cannot_be_read_do_not_undo_a_success(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """The client library would fail after the post was made."""
    server.headers = {"X-RateLimit-Reset": "soon", "X-RateLimit-Remaining": "few", "Deprecation": "true"}

    receipt = await channel.send(post(), TO, key=KEY)

    assert receipt.remote_id == server.statuses[0].id


async def test_a_connection_is_never_used_twice(server: MastodonServer, channel: MastodonChannel) -> None:
    """A kept one may be closed at any time; the next post on it would be lost."""
    server.one_request_each = True

    for number in range(3):
        await channel.send(post(f"Number {number}"), TO, key=str(number))

    assert len(server.statuses) == 3


# --------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "kind", "blame"),
    [
        (400, PermanentFailure, Blame.MESSAGE),
        (401, PermanentFailure, Blame.SENDER),
        (403, PermanentFailure, Blame.SENDER),
        (404, PermanentFailure, Blame.SENDER),
        (410, PermanentFailure, Blame.SENDER),
        (413, PermanentFailure, Blame.MESSAGE),
        (422, PermanentFailure, Blame.MESSAGE),
        (429, TemporaryFailure, None),
        (500, UnknownOutcome, None),
        (502, UnknownOutcome, None),
        (503, TemporaryFailure, None),
        (504, UnknownOutcome, None),
        (522, UnknownOutcome, None),
    ],
)
async def test_every_status_is_one_of_three_failures(
    server: MastodonServer,
    channel: MastodonChannel,
    status: int,
    kind: type[DeliveryError],
    blame: Blame | None,
) -> None:
    """By number, never by the text, which is in the server's language."""
    server.fail_next(POST_STATUS, Fault.before(status, error="Das geht so nicht"))

    failure = await failure_of(channel)

    assert type(failure) is kind
    assert failure.code == status
    assert getattr(failure, "blame", None) == blame
    assert server.count(POST_STATUS) == 1
    assert "\n" not in str(failure)


async def test_too_long_is_the_messages_fault_and_says_so(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """The server counts by its own rule; its words reach the person, and its limits are read anew."""
    asked = "GET /api/v2/instance"
    failure = await failure_of(channel, post("x" * 501))

    assert isinstance(failure, PermanentFailure)
    assert failure.blame is Blame.MESSAGE
    assert "character limit of 500" in str(failure)
    assert server.count(asked) == 2


async def test_what_fits_by_our_count_fits_by_the_servers(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """Exactly 500 goes out; one more is refused."""
    link = "https://example.org/" + "a" * 300
    text = f"{'👩🏽‍💻' * 470} {link} @b@example.org x"
    assert channel.length(text) == 499

    await channel.send(post(text, content_note="n"), TO, key=KEY)
    failure = await failure_of(channel, post(text + "x", content_note="n"), key="another")

    assert len(server.statuses) == 1
    assert failure.code == 422


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-RateLimit-Reset", "2026-03-06T09:12:00.000000Z"),
        ("X-RateLimit-Reset", "1772788320"),
        ("Retry-After", "720"),
    ],
)
async def test_a_rate_limit_says_when_to_come_back(
    server: MastodonServer, channel: MastodonChannel, header: str, value: str
) -> None:
    """ISO 8601 on Mastodon, unix seconds on GoToSocial, both by the server's own clock."""
    date = "Fri, 06 Mar 2026 09:00:00 GMT"
    answer = Answer(status=429, headers={header.lower(): value, "date": date})
    server.fail_next(POST_STATUS, Fault.before(429, headers={header: value}))

    failure = await failure_of(channel)

    assert retry_after(answer, NOW + timedelta(hours=5)) == timedelta(minutes=12)
    assert isinstance(failure, TemporaryFailure)
    assert failure.retry_after is not None


def test_a_rate_limit_without_a_time_leaves_it_to_the_ledger() -> None:
    """No header, no guess."""
    assert retry_after(Answer(status=429, headers={"x-ratelimit-reset": "soon"}), NOW) is None


@pytest.mark.parametrize("fault", [Fault.after(502), Fault.after(500), ACCEPTED_AND_DROPPED, DROPPED])
async def test_a_lost_answer_is_an_unknown_outcome(server: MastodonServer, fault: Fault) -> None:
    """Whether it was made before the line broke, the client cannot know."""
    channel = open_channel(server, timeout=1 if fault.hold else 20)
    await channel.refresh()
    server.fail_next(POST_STATUS, fault)

    failure = await failure_of(channel)
    await channel.close()

    assert type(failure) is UnknownOutcome
    assert server.count(POST_STATUS) == 1


async def test_a_page_instead_of_an_answer_is_an_unknown_outcome(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """200 with HTML: a proxy, a captive portal, or worse."""
    server.fail_next(POST_STATUS, Fault(status=200, body=b"<html>Welcome</html>", content_type="text/html"))

    assert type(await failure_of(channel)) is UnknownOutcome


async def test_an_answer_without_an_id_is_an_unknown_outcome(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """JSON, but not a status."""
    server.fail_next(POST_STATUS, Fault(status=200, body=b"{}"))

    assert type(await failure_of(channel)) is UnknownOutcome


async def test_a_server_that_is_not_there_is_a_temporary_failure() -> None:
    """No connection: certainly not sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = Options(api_base_url=f"http://127.0.0.1:{port}", access_token=SecretStr(TOKEN))
    channel = MastodonChannel(options, ChannelContext(name="fediverse"))

    failure = await failure_of(channel)
    [finding, *_] = await channel.check()
    await channel.close()

    assert type(failure) is TemporaryFailure
    assert (finding.level, finding.rule) == (Level.BLOCK, "mastodon.server.silent")


async def test_a_redirect_is_not_followed(server: MastodonServer, channel: MastodonChannel) -> None:
    """It would turn the POST into a GET, and carry the token elsewhere."""
    server.fail_next(POST_STATUS, Fault(status=301, headers=(("Location", "/api/v1/elsewhere"),)))

    failure = await failure_of(channel)

    assert isinstance(failure, PermanentFailure)
    assert failure.blame is Blame.SENDER
    assert "api_base_url" in str(failure)
    assert server.count("GET /api/v1/elsewhere") == 0


async def test_an_unavailable_server_without_keys_leaves_the_outcome_unknown() -> None:
    """A 503 may come after the work; only a key makes the repeat harmless."""
    with MastodonServer() as server:
        server.instance_v2 = {"version": "0.17.3", "source_url": "https://example.org/gotosocial"}
        channel = open_channel(server)
        server.fail_next(POST_STATUS, Fault.before(503))

        failure = await failure_of(channel)
        await channel.close()

    assert type(failure) is UnknownOutcome


# --------------------------------------------------------------------------- pictures


async def test_a_picture_goes_along_with_its_description(
    server: MastodonServer, channel: MastodonChannel, picture: Media
) -> None:
    """Uploaded once, by the newer way, and attached."""
    receipt = await channel.send(post(media=(picture,)), TO, key=KEY)

    [status] = server.statuses
    [upload] = server.uploads.values()
    assert status.media_ids == (upload.id,)
    assert upload.description == picture.alt
    assert server.count(POST_MEDIA) == 1
    assert receipt.note == ""


async def test_a_post_waits_for_its_picture(
    server: MastodonServer, channel: MastodonChannel, picture: Media
) -> None:
    """202, then 206, then 200: only then is it posted."""
    server.media_checks = 2

    await channel.send(post(media=(picture,)), TO, key=KEY)

    [upload] = server.uploads.values()
    assert server.count(f"GET /api/v1/media/{upload.id}") == 3
    assert server.statuses[0].media_ids == (upload.id,)


async def test_a_picture_that_takes_too_long_puts_the_post_off(
    server: MastodonServer, channel: MastodonChannel, picture: Media
) -> None:
    """The next try uses the same upload: thirty in half an hour are all there are."""
    server.media_checks = 5

    failure = await failure_of(channel, post(media=(picture,)))
    early = len(server.statuses)
    await channel.send(post(media=(picture,)), TO, key=KEY)

    assert type(failure) is TemporaryFailure
    assert early == 0
    assert len(server.statuses) == 1
    assert server.count(POST_MEDIA) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.before(422, error="File content type is invalid"), PermanentFailure),
        (Fault.before(429), TemporaryFailure),
        (Fault.before(502), TemporaryFailure),
        (DROPPED, TemporaryFailure),
    ],
)
async def test_no_picture_no_post(
    server: MastodonServer,
    channel: MastodonChannel,
    picture: Media,
    fault: Fault,
    kind: type[DeliveryError],
) -> None:
    """An upload publishes nothing, so its lost answer is harmless; a post never goes without its picture."""
    server.fail_next(POST_MEDIA, fault)

    failure = await failure_of(channel, post(media=(picture,)))

    assert type(failure) is kind
    assert server.count(POST_STATUS) == 0


async def test_a_lost_description_stops_the_post(
    server: MastodonServer, channel: MastodonChannel, picture: Media
) -> None:
    """The alt text is part of the picture."""
    server.keep_descriptions = False

    failure = await failure_of(channel, post(media=(picture,)))

    assert isinstance(failure, PermanentFailure)
    assert "description" in str(failure)
    assert server.statuses == []


async def test_a_missing_file_is_named(channel: MastodonChannel, picture: Media) -> None:
    """The name is said, not the way to it."""
    picture.path.unlink()

    failure = await failure_of(channel, post(media=(picture,)))

    assert isinstance(failure, PermanentFailure)
    assert str(failure).startswith("harbour.png: the picture cannot be read")


async def test_a_server_without_the_newer_way_gets_the_older(
    server: MastodonServer, channel: MastodonChannel, picture: Media
) -> None:
    """``media_api = "auto"`` tries the newer first."""
    server.media_v2 = False

    await channel.send(post(media=(picture,)), TO, key=KEY)

    assert server.count("POST /api/v1/media") == 1
    assert len(server.statuses) == 1


async def test_a_server_that_tells_no_version_still_gets_one_upload(picture: Media) -> None:
    """The client library would ask for the version for ever."""
    with MastodonServer() as server:
        server.instance_v2 = None
        channel = open_channel(server)

        await channel.send(post(media=(picture,)), TO, key=KEY)
        await channel.close()

        assert server.count(POST_MEDIA) == 1
        assert len(server.requests) == 4  # two questions that fail, the picture, the post


async def test_not_yet_processed_is_told_apart_from_wrong_words(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """The same 422; the next try may work."""
    told = "Cannot attach files that have not finished processing. Try again in a moment!"
    server.fail_next(POST_STATUS, Fault.before(422, error=told))

    assert type(await failure_of(channel)) is TemporaryFailure


# --------------------------------------------------------------------------- settling


async def test_a_post_whose_answer_was_lost_is_found(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """The account's own statuses tell; the receipt is the one that was lost."""
    message = post("Dockers & crews win: https://example.org/a/very/long/path/to/a/story\n\n#strike @a@b.org")
    server.fail_next(POST_STATUS, Fault.after(502))
    await failure_of(channel, message)

    receipt = await channel.settle(delivery(minutes_ago=0), message)

    assert receipt is not None
    assert receipt.remote_id == server.statuses[0].id
    assert server.count(POST_STATUS) == 1


async def test_a_post_that_never_went_out_may_go_again(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """Absent, and the key would stop a double: None, for any age."""
    server.add_status(OURS, created_at=NOW - timedelta(hours=9), visibility="unlisted")
    server.add_status("Something else", created_at=NOW - timedelta(hours=3))

    assert await channel.settle(delivery(minutes_ago=0), post()) is None
    assert await channel.settle(delivery(minutes_ago=300), post()) is None


async def test_the_words_are_compared_without_the_source_too(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """Some servers do not give it; the HTML without its tags is enough."""
    server.source_works = False
    server.add_status(OURS, visibility="unlisted")
    server.add_status("One & two\nhttps://example.org/a/very/long/path/to/a/story?x=1")

    found = await channel.settle(
        delivery(), post("One & two\nhttps://example.org/a/very/long/path/to/a/story?x=1")
    )
    missed = await channel.settle(delivery(), post("One & three"))

    assert found is not None
    assert missed is None


async def test_another_content_note_is_another_post(server: MastodonServer, channel: MastodonChannel) -> None:
    """Words and note together are the post."""
    server.add_status(post().text, spoiler_text="death")

    assert await channel.settle(delivery(), post()) is None


async def test_settling_looks_beyond_the_first_page(server: MastodonServer, channel: MastodonChannel) -> None:
    """A busy account has written fifty since."""
    wanted = server.add_status(post().text, created_at=NOW - timedelta(minutes=9))
    for number in range(50):
        server.add_status(f"Busy {number}")

    receipt = await channel.settle(delivery(), post())

    assert receipt is not None
    assert receipt.remote_id == wanted.id


async def test_an_account_too_busy_to_read_back_leaves_it_open(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """Two hundred newer ones, and the time of the claim is not reached."""
    for number in range(260):
        server.add_status(f"Busy {number}")

    with pytest.raises(UnknownOutcome, match="look at the account"):
        await channel.settle(delivery(minutes_ago=90), post())


async def test_a_server_that_cannot_be_read_leaves_it_open(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """Nobody knows until it answers again."""
    await channel.refresh()
    server.fail_next("GET /api/v1/accounts/verify_credentials", Fault.before(502))

    with pytest.raises(UnknownOutcome, match="cannot be read"):
        await channel.settle(delivery(), post())


async def test_a_token_that_may_not_read_leaves_it_to_the_key(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """Within 55 minutes the server itself refuses a double; after that a person must look."""
    forbidden = Fault.before(403, error="This action is outside the authorized scopes")
    server.fail_next("GET /api/v1/accounts/verify_credentials", *[forbidden] * 3)

    assert await channel.settle(delivery(minutes_ago=54), post()) is None
    with pytest.raises(UnknownOutcome):  # the next try may come after the key is forgotten
        await channel.settle(delivery(minutes_ago=54, attempts=2), post())
    with pytest.raises(UnknownOutcome):
        await channel.settle(delivery(minutes_ago=56), post())


async def test_a_server_without_keys_is_given_a_minute(server: MastodonServer) -> None:
    """It may still be at work; "not there" is too early to send again."""
    server.instance_v2 = {"version": "0.17.3+git-1", "source_url": "https://example.org/gotosocial"}
    server.add_status(OURS, created_at=NOW - timedelta(days=3), visibility="unlisted")
    channel = open_channel(server)

    with pytest.raises(UnknownOutcome, match="look again later"):
        await channel.settle(delivery(minutes_ago=0.5), post())
    later = await channel.settle(delivery(minutes_ago=2), post())
    await channel.close()

    assert later is None


# --------------------------------------------------------------------------- limits


async def test_limits_are_the_servers_own(channel: MastodonChannel, server: MastodonServer) -> None:
    """Documented defaults before, live values after."""
    server.instance_v2 = read_only_instance(characters=5000)
    before = channel.limits

    await channel.refresh()

    assert (before.characters, before.media, before.alt_text) == (500, 4, 1500)
    assert "characters" in before.assumed
    assert (channel.limits.characters, channel.limits.alt_text) == (5000, 1500)
    assert channel.limits.idempotency == timedelta(minutes=55)
    assert channel.limits.assumed == ("url_length", "media", "alt_text")


def read_only_instance(*, characters: int) -> dict[str, Any]:
    return {"version": "4.5.1", "configuration": {"statuses": {"max_characters": characters}}}


async def test_an_operators_limit_stands_over_the_servers(server: MastodonServer) -> None:
    """``max_characters`` in bot.toml."""
    channel = open_channel(server, max_characters=300)

    await channel.refresh()
    await channel.close()

    assert channel.limits.characters == 300
    assert channel.limits.assumed == ()


@pytest.mark.parametrize("instance", [None, {}, {"version": None}, {"configuration": []}])
async def test_a_server_that_tells_nothing_gets_the_defaults(instance: dict[str, Any] | None) -> None:
    """Any key may be missing, or be something else; refresh never raises."""
    with MastodonServer() as server:
        server.instance_v2 = instance
        channel = open_channel(server)

        await channel.refresh()
        await channel.close()

        assert channel.limits.characters == 500
        assert {"characters", "media", "alt_text"} <= set(channel.limits.assumed)


@pytest.mark.parametrize(
    ("instance", "family"),
    [
        ({"version": "4.5.1", "source_url": "https://github.com/mastodon/mastodon"}, Family.MASTODON),
        ({"version": "4.3.0+glitch"}, Family.MASTODON),
        ({"version": "0.17.3+git-abc"}, Family.GOTOSOCIAL),
        ({"version": "2.7.2 (compatible; Pleroma 2.4.5)"}, Family.OTHER),
        ({"version": "4.2.0 (compatible; Hollo 0.6.1)"}, Family.HOLLO),
        ({"version": "takahe/0.11.0"}, Family.OTHER),
        ({"version": "2.80"}, Family.OTHER),
    ],
)
def test_the_kind_of_server_is_known_by_its_version(instance: dict[str, Any], family: Family) -> None:
    """It decides how to count and whether a key protects."""
    assert read_server(instance).family is family


def test_each_kind_of_server_counts_in_its_own_way() -> None:
    """GoToSocial counts code points and whole URLs; of an unknown one the larger count is taken."""
    text = "👩🏽‍💻 https://a.co"
    mastodon = read_server({"version": "4.5.1"})
    gotosocial = read_server({"version": "0.17.3"})
    unknown = read_server({"version": "2.80"})

    assert (mastodon.length(text), gotosocial.length(text), unknown.length(text)) == (25, 17, 25)
    assert gotosocial.length("x", "note") == 5


# --------------------------------------------------------------------------- doctor, options, secrets


async def test_the_doctor_names_the_account(channel: MastodonChannel) -> None:
    """A healthy account has one line."""
    [finding] = await channel.check()

    assert (finding.level, finding.rule) == (Level.INFO, "mastodon.token.works")
    assert "@broadside" in finding.message


async def test_the_doctor_names_a_refused_token_and_missing_scopes(
    server: MastodonServer, channel: MastodonChannel
) -> None:
    """Both stop every post."""
    server.scopes = ["read", "write:statuses"]
    found = {finding.rule: finding for finding in await channel.check()}
    server.token = "another"
    refused, *_ = await channel.check()

    assert found["mastodon.scopes.missing"].level is Level.BLOCK
    assert "write:media" in found["mastodon.scopes.missing"].message
    assert (refused.level, refused.rule) == (Level.BLOCK, "mastodon.token.refused")


async def test_the_doctor_names_what_is_assumed(server: MastodonServer, channel: MastodonChannel) -> None:
    """And that the server forgets keys."""
    server.instance_v2 = {"version": "2.80"}

    rules = {finding.rule for finding in await channel.check()}

    assert {"mastodon.limits.assumed", "mastodon.keys.unknown"} <= rules


@pytest.mark.parametrize(
    "url",
    [
        "http://mastodon.example",
        "mastodon.example",
        "https://",
        "https://a.example/web",
        "https://u@a.example",
    ],
)
def test_a_token_never_travels_in_clear_text(url: str) -> None:
    """Only https, but for loopback, and only to the server's own address."""
    with pytest.raises(ValidationError, match="server's address"):
        Options(api_base_url=url)


def test_a_slash_at_the_end_is_no_mistake() -> None:
    assert Options(api_base_url="https://mastodon.example/").api_base_url == "https://mastodon.example"


async def test_the_token_is_nowhere_but_in_the_header(
    server: MastodonServer,
    picture: Media,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Not in a log at DEBUG, an error, a repr or a printed line."""
    caplog.set_level(logging.DEBUG)
    options = Options(api_base_url=server.url, access_token=SecretStr(TOKEN))
    channel = connect(options, ChannelContext(name="fediverse"))
    server.fail_next(POST_STATUS, Fault.before(401, error="The access token is invalid"))

    with pytest.raises(DeliveryError) as caught:
        await channel.send(post(media=(picture,)), TO, key=KEY)
    await channel.send(post(media=(picture,)), TO, key=KEY)
    await channel.check()
    await channel.close()

    said = [
        repr(channel),
        repr(options),
        repr(caught.value),
        str(caught.value),
        caplog.text,
        *capfd.readouterr(),
    ]
    assert "POST /api/v1/statuses" in caplog.text
    assert TOKEN not in "".join(said)
    assert server.last(POST_STATUS).headers["authorization"] == f"Bearer {TOKEN}"


def test_the_module_is_a_channel() -> None:
    assert TYPE == MastodonChannel.type == "mastodon"


# --------------------------------------------------------------------------- the test server itself


@pytest.mark.slow
def test_a_client_that_we_did_not_write_works_with_the_test_server(
    server: MastodonServer, tmp_path: Path
) -> None:
    """``toot`` posts with a picture, reads and deletes: the server speaks Mastodon, not our dialect."""
    picture = tmp_path / "harbour.png"
    picture.write_bytes(PNG)
    config = tmp_path / "config"
    write_toot_config(config, server)

    def toot(*words: str) -> str:
        script = Path(sys.executable).with_name("toot")
        environment = os.environ | {"XDG_CONFIG_HOME": str(config)}
        ran = subprocess.run([script, *words], env=environment, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    said = toot("post", "Hello from toot", "--media", str(picture), "--description", "Cranes", "-p", "note")
    [status] = server.statuses
    shown, who = toot("status", status.id), toot("whoami")
    toot("delete", status.id)

    [upload] = server.uploads.values()
    assert status.id in said or server.url in said
    assert (status.text, status.spoiler_text) == ("Hello from toot", "note")
    assert (upload.description, upload.data) == ("Cranes", PNG)
    assert "Hello from toot" in shown
    assert "broadside" in who
    assert server.statuses == []


def write_toot_config(folder: Path, server: MastodonServer) -> None:
    """As ``toot login`` leaves it."""
    host = server.url.removeprefix("http://")
    app = {"instance": host, "base_url": server.url, "client_id": "id", "client_secret": "none"}
    user = {"instance": host, "username": "broadside", "access_token": TOKEN}
    config = {"apps": {host: app}, "users": {f"broadside@{host}": user}, "active_user": f"broadside@{host}"}
    (folder / "toot").mkdir(parents=True)
    (folder / "toot" / "config.json").write_text(json.dumps(config))
