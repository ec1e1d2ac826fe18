"""No document stops an issue: whatever an item says, every part of it is made, and soon."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bot.app.words
from bot.app.preview import draft
from bot.app.publish import tick
from bot.app.rendered import rendering_findings
from bot.app.setup import make_workspace
from bot.app.workspace import Workspace
from bot.checks import check_item
from bot.model import Item, Level
from bot.rendering.markdown import plain_because, to_html
from bot.rendering.parser import MAX_CHARACTERS
from bot.rendering.text import to_text
from tests.support.documents import NASTY, documents

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
SECONDS = 1.0  # of the processor, for every part of one document together


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace as it is shipped: a newsletter, Mastodon and Telegram."""
    root = tmp_path_factory.mktemp("fuzzed")
    make_workspace(root)
    return Workspace(root)


def make(body: str, **fields: object) -> Item:
    """An item with this text, and its beginning in every other field that holds words."""
    said = body[:200]
    base: dict[str, object] = {
        "id": "story",
        "path": Path("queue/story.md"),
        "title": said or "T",
        "url": "https://example.org/story",
        "source": said or "S",
        "region": said,
        "summary": said,
        "tags": (said[:40],),
        "published": date(2026, 5, 4),
        "body": body,
    }
    return Item(**{**base, **fields})


def seconds(here: Workspace, body: str) -> float:
    """How long check, mail, text, posts, archive and feeds take together; fails when one is not made."""
    started = time.process_time()
    item = make(body)
    check_item(item)
    stopped = [f.message for f in rendering_findings(here, item, NOW) if f.level is Level.BLOCK]

    assert not [line for line in stopped if "does not fit into a post" not in line], stopped
    return time.process_time() - started


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_document_is_rendered_within_a_second(here: Workspace, name: str) -> None:
    """Recursion, torn nesting and growth by the square: far beyond the bounds, and just within them."""
    document = NASTY[name]
    within = next(cut for n in range(20) if not plain_because(cut := document[: MAX_CHARACTERS >> n]))

    assert seconds(here, document) < SECONDS
    assert seconds(here, within) < SECONDS


@given(body=documents)
@settings(max_examples=20, derandomize=True)
def test_a_fuzzed_document_is_rendered_everywhere(here: Workspace, body: str) -> None:
    """Check, mail, text, posts, archive, feeds."""
    assert seconds(here, body) < SECONDS


@given(body=documents)
@settings(max_examples=100, derandomize=True)
def test_html_and_text_say_the_same_words(body: str) -> None:
    """Whether the marks of a document are read is decided once, for both."""
    html, text = to_html(body), to_text(body)

    assert bool(html.striptags().strip()) == bool(text.strip()) or "<" in text or "* * *" in text


@pytest.mark.slow
def test_ten_thousand_fuzzed_documents(here: Workspace) -> None:
    """No exception, and none takes over a second."""
    times: list[float] = []

    @given(body=documents)
    @settings(max_examples=10_000, derandomize=True, database=None)
    def run(body: str) -> None:
        times.append(seconds(here, body))

    run()

    print(f"{len(times)} documents, {sum(times):.0f} s, the slowest {max(times):.3f} s")
    assert max(times) < SECONDS


@given(count=st.integers(0, 60), mark=st.sampled_from(["> ", "- ", "*", "^[", "![", "[^1]: "]))
def test_depth_has_an_end(count: int, mark: str) -> None:
    """Up to the cap the marks are read; beyond it they are words, and none is lost."""
    assert "word" in to_text(mark * count + "word\n\n[^1]")


def test_what_is_too_much_becomes_plain_paragraphs_by_name(here: Workspace) -> None:
    """The finding says why; nothing blocks."""
    item = make("*" * 900 + "a" + "*" * 900, title="T", source="S", region="", summary="S", tags=())
    (finding,) = rendering_findings(here, item, NOW)

    assert (finding.rule, finding.level) == ("body.plain", Level.WARN)
    assert "story.md" in str(finding)
    assert plain_because("a *plain* text") == ""


async def test_one_bad_item_stays_out_by_name_and_the_issue_goes(tmp_path, monkeypatch) -> None:
    """In the run, its problems and the preview alike; the other items are unharmed."""
    make_workspace(tmp_path, sample=True)
    here = Workspace(tmp_path)
    render = bot.app.words.render_issue
    bad = draft(here, (), newsletter=None, now=NOW)[0].what.items[0].id

    def broken(issue, *args, **options):
        if bad in [item.id for item in issue.items]:
            raise RecursionError("a fault nobody thought of")
        return render(issue, *args, **options)

    monkeypatch.setattr(bot.app.words, "render_issue", broken)
    shown = draft(here, (), newsletter=None, now=NOW)[0]

    assert bad in shown.left_out[0]
    assert shown.what.items
    assert bad not in [item.id for item in shown.what.items]
    slot = shown.what.slot
    ticked = await tick(here, slot, dry_run=True)
    assert any(bad in line for line in ticked.problems), ticked.problems
    assert [out for out in ticked.outgoing if out.what.id == shown.what.id]
