"""Every shipped item goes out on all three channels, and the hostile ones do no harm on any."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from support.commands import bot

from bot.app.preview import draft
from bot.app.setup import make_workspace
from bot.app.words import Outgoing, personal
from bot.app.workspace import Workspace
from bot.channels.telegram.html import check_html
from bot.model import Issue, Recipient

ROOT = Path(__file__).parent.parent
ITEMS = sorted(path.stem for path in (ROOT / "queue").glob("*.md"))
BAD = ROOT / "tests" / "data" / "bad_items"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
READER = Recipient(id="0" * 32, address="ana@example.org", name="Ana")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A rehearsing workspace with the shipped items and the hostile one."""
    folder = tmp_path_factory.mktemp("samples") / "news"
    make_workspace(folder, sample=True)
    shutil.copy(BAD / "bad-09-markup.md", folder / "queue")
    return Workspace(folder, readonly=True)


def words(here: Workspace, item: str) -> dict[str, Outgoing]:
    return {out.channel: out for out in draft(here, [item], newsletter=None, now=NOW)}


def mail_of(here: Workspace, out: Outgoing) -> tuple[str, str]:
    """Text and HTML as a mail program reads them from the very bytes that would be sent."""
    assert isinstance(out.what, Issue)
    message = personal(here, out.message, READER, out.what.newsletter)
    content = here.channels[out.channel].request(message, READER, key="0" * 64).body
    mail = message_from_bytes(content, policy=policy.default)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return str(text.get_content()), str(html.get_content())


@pytest.mark.parametrize("item", ITEMS)
def test_every_item_goes_out_on_all_three_channels(here: Workspace, item: str) -> None:
    """Within each limit, with its link, its title in both parts of the mail, and its picture described."""
    story = here.item(item)
    out = words(here, item)
    text, html = mail_of(here, out["mail"])

    assert set(out) == {"mail", "mastodon", "telegram"}
    for each in out.values():
        assert each.length <= each.limit
    assert story.url in out["mastodon"].message.text
    check_html(out["telegram"].message.text)
    assert f'href="{story.url}"' in out["telegram"].message.text
    assert story.url in text
    assert story.url in html
    assert re.sub(r"\s", "", story.title) in re.sub(r"[\s⁨⁩]", "", text)
    assert [m.alt for m in out["mastodon"].message.media] == ([story.alt] if story.image else [])
    assert f'lang="{story.lang}"' in html


def test_markup_in_an_item_is_harmless_text_everywhere(here: Workspace) -> None:
    """Tags, frames, template syntax and data: links of an item are shown, never obeyed."""
    out = words(here, "bad-09-markup")
    text, html = mail_of(here, out["mail"])
    telegram = out["telegram"].message.text

    assert "<script>alert('x')</script>" in text
    assert "<script>alert('x')</script>" in out["mastodon"].message.text
    assert not re.search(r"<(script|iframe|img[^>]+onerror)", html)
    assert "&lt;script&gt;" in html
    assert "&lt;script&gt;" in telegram
    assert not re.search(r'<a[^>]*href="data:', html + telegram)
    assert "{{ config }}" in html


@pytest.mark.parametrize(
    ("item", "code", "said"),
    [
        ("bad-04-image-without-alt", 4, "image.alt.missing"),
        ("bad-07-unsafe-url", 4, "bad-07-unsafe-url.md:3"),
        ("bad-08-broken-yaml", 4, "bad-08-broken-yaml.md:2"),
        ("bad-11-bidi-override", 4, "bad-11-bidi-override.md:2"),
        ("bad-15-empty", 4, "bad-15-empty.md:1"),
        ("bad-12-instructions-inside", 0, ""),
    ],
)
def test_bad_items_have_a_clear_outcome(tmp_path: Path, item: str, code: int, said: str) -> None:
    """Refused or blocked with place and reason, and never approved; words that give orders are only words."""
    make_workspace(tmp_path, sample=True)
    shutil.copy(BAD / f"{item}.md", tmp_path / "queue")

    checked = bot("check", item, workspace=tmp_path)
    approved = bot("approve", item, workspace=tmp_path)

    assert (checked.code, approved.code) == (code, code)
    assert said in checked.out + checked.err
    assert "Traceback" not in checked.err + approved.err
