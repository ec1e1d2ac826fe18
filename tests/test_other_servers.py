"""Servers that speak Mastodon's API and differ: what came back is read, and nothing is taken for granted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.channels.base import CUT, ChannelContext
from bot.channels.mastodon import Options
from bot.channels.mastodon.channel import MastodonChannel
from bot.channels.mastodon.compare import is_whole
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.model import Delivery, Level, Message, Recipient, State
from tests.support.mastodon_server import POST_STATUS, TOKEN, Fault, MastodonServer

NOW = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
TO = Recipient(id="fediverse")
POST = Message(
    kind="post", lang="en", text="Dockers & crews win at last: https://example.org/dockers?a=1&b=2"
)
VERIFY = "GET /api/v1/accounts/verify_credentials"


def open_channel(server: MastodonServer, *, published: Sequence[str] = (), **more: Any) -> MastodonChannel:
    server.clock = lambda: NOW
    options = Options(api_base_url=server.url, access_token=SecretStr(TOKEN), **more)
    context = ChannelContext(name="fediverse", published=lambda: published)
    return MastodonChannel(options, context, clock=lambda: NOW)


def lost(*, minutes_ago: float = 10) -> Delivery:
    """A post whose answer never came."""
    since = NOW - timedelta(minutes=minutes_ago)
    return Delivery(
        key="8f14e45fceea167a5a36dedd4bea2543",
        kind="post",
        subject="dockers",
        channel="fediverse",
        recipient=TO,
        message="digest",
        due=since,
        state=State.UNKNOWN,
        attempts=1,
        claimed_at=since,
    )


async def failure_of(channel: MastodonChannel) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await channel.send(POST, TO, key="key")
    return caught.value


# --------------------------------------------------------------------------- absence is proved


async def test_a_list_that_never_shows_our_posts_proves_nothing() -> None:
    """snac hides what it made private: the post went out, and going again would double it."""
    with MastodonServer.snac() as server:
        old = server.add_status("From before", visibility="private", created_at=NOW - timedelta(days=2))
        server.add_status(POST.text, visibility="private")
        channel = open_channel(server, published=[old.id])
        with pytest.raises(UnknownOutcome, match="shows none of our unlisted posts"):
            await channel.settle(lost(), POST)
        await channel.close()


async def test_a_public_post_in_the_list_says_nothing_about_unlisted_ones() -> None:
    """The account once posted publicly; those are listed, ours of today are not."""
    with MastodonServer.snac() as server:
        old = server.add_status("From before", visibility="public", created_at=NOW - timedelta(days=2))
        channel = open_channel(server, published=[old.id])
        with pytest.raises(UnknownOutcome, match="proves nothing"):
            await channel.settle(lost(), POST)
        await channel.close()


async def test_an_empty_list_of_a_new_account_proves_nothing() -> None:
    """Nothing of ours was ever seen there."""
    with MastodonServer.gotosocial() as server:
        channel = open_channel(server)
        with pytest.raises(UnknownOutcome, match="none of ours was ever seen"):
            await channel.settle(lost(), POST)
        await channel.close()


async def test_a_list_with_our_last_post_proves_that_the_next_one_is_missing() -> None:
    """As visible as the lost one would be: it goes again."""
    with MastodonServer.gotosocial() as server:
        old = server.add_status("From before", visibility="unlisted", created_at=NOW - timedelta(hours=3))
        channel = open_channel(server, published=[old.id])
        assert await channel.settle(lost(), POST) is None
        await channel.close()


async def test_the_same_page_again_and_again_comes_to_an_end() -> None:
    """A server that ignores max_id is asked twice, not for ever."""
    with MastodonServer.snac() as server:
        old = server.add_status("From before", visibility="public")
        for number in range(45):
            server.add_status(f"Busy {number}", visibility="public")
        channel = open_channel(server, published=[old.id], visibility="public")
        with pytest.raises(UnknownOutcome, match="same posts on every page"):
            await channel.settle(lost(minutes_ago=30), POST)
        await channel.close()
    assert server.count("GET /api/v1/accounts/1/statuses") == 2


async def test_a_cut_post_is_found_as_the_lost_one() -> None:
    """Its beginning stands there since the attempt: it went out."""
    with MastodonServer.snac() as server:
        server.visibility, server.lists = None, lambda status: True
        status = server.add_status(POST.text, visibility="public")
        server.html = lambda text: "<p>Dockers &amp; crews win</p>"
        channel = open_channel(server, visibility="public")
        receipt = await channel.settle(lost(), POST)
        await channel.close()
    assert receipt is not None
    assert (receipt.remote_id, CUT in receipt.note) == (status.id, True)


# --------------------------------------------------------------------------- the answer is read


async def test_a_server_that_cuts_hides_and_forgets_is_told() -> None:
    """snac ends the words at "&", makes them private and drops the language."""
    with MastodonServer.snac() as server:
        channel = open_channel(server)
        receipt = await channel.send(POST, TO, key="key")
        await channel.close()
    assert receipt.note == f"{CUT}; the server made it private; the server dropped the language"


@pytest.mark.parametrize("kind", [MastodonServer, MastodonServer.gotosocial, MastodonServer.takahe])
async def test_a_faithful_server_raises_no_alarm(kind: Any) -> None:
    """Hidden parts of links, hashtags as links, paragraphs of its own: nothing of it is a cut."""
    text = (
        "Fish & <chips>:\n\n1. https://example.org/a/very/long/path/that/is/hidden?x=1&y=ü\n#strike @a@b.org"
    )
    with kind() as server:
        channel = open_channel(server)
        receipt = await channel.send(Message(kind="post", lang="en", text=text), TO, key="key")
        await channel.close()
    assert receipt.note == ""


LINK = "https://example.org/a/long/way?x=1&y=2"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (f"See {LINK}", f'<p>See <a href="{LINK.replace("&", "&amp;")}">example.org/a/lo…</a></p>'),
        ("See https://example.org", '<p>See <a href="https://example.org/">example.org</a></p>'),
        ("See https://example.org/ü", '<p>See <a href="https://example.org/%C3%BC">example.org/…</a></p>'),
        ("Hello @ann@far.org", '<p>Hello <a href="https://far.org/@ann">@ann@far.org</a></p>'),
        ("Hello", '<p><a href="https://x.org/@us">@us</a> Hello</p><blockquote>RE: more</blockquote>'),
        ("1. One\n2. Two", "<ol><li>One</li><li>Two</li></ol>"),
        ('"Quoted" -- and so on...', "<p>“Quoted” – and so on…</p>"),
        ("A<br>\u00a0B", "<p>A&lt;br&gt; B</p>"),
        (
            "日本語 #港湾 https://example.org/港",
            '<p>日本語 <a href="/t">#港湾</a> https://example.org/港</p>',
        ),
    ],
)
def test_what_servers_make_of_whole_words_is_no_cut(sent: str, shown: str) -> None:
    """Each server writes HTML of its own."""
    assert is_whole(shown, sent)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Dockers & crews win", "<p>Dockers </p>"),
        (f"A whole story: {LINK}", "<p>A whole story:</p>"),
        (f"A story: {LINK}", '<p>A story: <a href="https://example.org/a/long">example.org/a/long</a></p>'),
        ("One\n\nTwo", "<p>One</p>"),
    ],
)
def test_words_or_targets_that_are_missing_are_a_cut(sent: str, shown: str) -> None:
    """A reader does not have them."""
    assert not is_whole(shown, sent)


# --------------------------------------------------------------------------- whose fault


@pytest.mark.parametrize("kind", [MastodonServer, MastodonServer.takahe, MastodonServer.snac])
async def test_a_bad_token_is_never_the_messages_fault(kind: Any) -> None:
    """401, 400 or 422: the token is asked about once, and the message stays planned."""
    with kind() as server:
        server.token = "another"
        channel = open_channel(server)
        failure = await failure_of(channel)
        await channel.close()
    assert isinstance(failure, PermanentFailure)
    assert failure.blame is Blame.SENDER
    assert server.count(VERIFY) == 1


@pytest.mark.parametrize("code", [400, 422])
async def test_with_a_token_that_works_the_words_are_to_blame(code: int) -> None:
    """Also where it may not read the account: the server knows it."""
    for check in (None, Fault.before(403)):
        with MastodonServer() as server:
            server.fail_next(POST_STATUS, Fault.before(code))
            server.fail_next(VERIFY, *[check] * (check is not None))
            channel = open_channel(server)
            failure = await failure_of(channel)
            await channel.close()
        assert isinstance(failure, PermanentFailure)
        assert failure.blame is Blame.MESSAGE


async def test_while_the_token_cannot_be_asked_about_nobody_is_blamed() -> None:
    """It was refused, so it is not there; later the server may tell why."""
    with MastodonServer() as server:
        server.fail_next(POST_STATUS, Fault.before(422))
        server.fail_next(VERIFY, Fault.before(502))
        channel = open_channel(server)
        failure = await failure_of(channel)
        await channel.close()
    assert isinstance(failure, TemporaryFailure)


async def test_where_the_server_does_not_tell_scopes_they_are_tried() -> None:
    """With calls that change nothing."""
    with MastodonServer.gotosocial() as server:
        server.scopes = ["read", "write:media"]
        channel = open_channel(server)
        found = {finding.rule: finding for finding in await channel.check()}
        await channel.close()
    missing = found["mastodon.scopes.missing"]
    assert missing.level is Level.BLOCK
    assert "write:statuses" in missing.message
    assert "write:media" not in missing.message
    assert server.statuses == []


async def test_a_silent_server_is_a_cross_and_no_post_is_spoken_of() -> None:
    """The doctor posts nothing, so no answer to a post can be lost."""
    with MastodonServer() as server:
        server.fail_next(VERIFY, Fault(drop=True))
        channel = open_channel(server)
        [finding] = [f for f in await channel.check() if f.rule == "mastodon.server.silent"]
        await channel.close()
    assert finding.level is Level.BLOCK
    assert "after the post" not in finding.message


# --------------------------------------------------------------------------- limits


@pytest.mark.parametrize("characters", [200, 5000])
async def test_the_limits_told_last_are_there_without_asking(tmp_path: Path, characters: int) -> None:
    """A preview and a rehearsal fit posts to them, with the time they were read; nothing is asked."""
    told = tmp_path / "state" / "told.json"
    with MastodonServer(max_characters=characters) as server:
        options = Options(api_base_url=server.url, access_token=SecretStr(TOKEN))
        context = ChannelContext(name="fediverse", told=told)
        asked = MastodonChannel(options, context, clock=lambda: NOW)
        await asked.refresh()
        await asked.close()
        later = MastodonChannel(options, context)
        elsewhere = MastodonChannel(
            Options(api_base_url="https://other.example", access_token=SecretStr(TOKEN)), context
        )
    assert (later.limits.characters, later.limits.read) == (characters, NOW)
    assert server.count("GET /api/v2/instance") == 1
    assert (elsewhere.limits.characters, elsewhere.limits.read) == (500, None)


@pytest.mark.parametrize("spoilt", ["", "{}", "[]", '{"origin": "https://a.example", "server": {"read": 1}}'])
def test_a_damaged_memory_is_no_limit(tmp_path: Path, spoilt: str) -> None:
    """The documented defaults stand until the server tells."""
    told = tmp_path / "told.json"
    told.write_text(spoilt)
    options = Options(api_base_url="https://a.example", access_token=SecretStr(TOKEN))
    channel = MastodonChannel(options, ChannelContext(name="fediverse", told=told))
    assert (channel.limits.characters, channel.limits.read) == (500, None)
