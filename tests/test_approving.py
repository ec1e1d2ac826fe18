"""Adding and approving: everything that speaks against an item is said before a person approves it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from bot.app.items import approval_findings, is_duplicate
from bot.app.setup import make_workspace
from bot.checks import name_findings
from bot.checks.duplicates import is_nearly_same_title
from bot.checks.names import language_problem
from bot.model import Item, Level, Post, Receipt
from bot.reader import read_item
from tests.support.archives import SLOT, WORDS, Group, make_group
from tests.support.commands import bot

STORY = """\
---
title: {title}
url: {url}
source: S
published: 2026-05-04
summary: Short.
{more}---

{body}
"""
PORTS = "Port workers freed after a raid in Laem Chabang"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A rehearsing workspace with one story in its queue."""
    folder = tmp_path / "here"
    make_workspace(folder)
    for each in (folder / "queue").glob("*.md"):
        each.unlink()
    write(folder, "ports", title=PORTS)
    return folder


def write(folder: Path, name: str, **fields: str) -> Path:
    """An item file of a good draft, but for these fields."""
    base = {"title": "Another story", "url": f"https://example.org/{name}", "more": "", "body": "Text."}
    path = folder / "queue" / f"{name}.md"
    path.write_text(STORY.format(**{**base, **fields}), "utf-8")
    return path


def test_add_says_at_once_what_is_to_be_said(here: Path) -> None:
    """The same findings that the approval will bring, while the story is still at hand."""
    ran = bot(
        "add", "--title", "New", "--url", "https://example.org/a?utm_source=x", "--lang", "jp", workspace=here
    )

    assert ran.code == 0
    assert "the address tracks readers" in ran.out
    assert "did you mean 'ja'?" in ran.out
    assert "has no summary" in ran.out


def test_approve_says_what_check_says(here: Path) -> None:
    """A tag that readers would see is told before it is too late."""
    write(here, "tags", body="One\n\n<div>two</div>")

    ran = bot("approve", "tags", "--by", "mali", workspace=here)

    assert ran.code == 0
    assert "tags.md:11: `<div>` will be shown as text" in ran.out


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://www.example.org/ports/?utm_source=news&fbclid=1"},
        {"title": PORTS.replace(" a ", " ")},
    ],
    ids=["the same page, tracked", "nearly the same title"],
)
def test_the_same_story_is_not_approved_twice_unless_a_person_says_so(
    here: Path, fields: dict[str, str]
) -> None:
    """Without a terminal to ask on it stops with exit code 4 and names the way."""
    path = write(here, "again", **fields)

    stopped = bot("approve", "again", workspace=here)
    kept = path.read_text()
    meant = bot("approve", "again", "--duplicate-ok", workspace=here)

    assert stopped.code == 4
    assert "ports" in stopped.err
    assert "--duplicate-ok" in stopped.err
    assert "status" not in kept
    assert meant.code == 0
    assert "status: approved" in path.read_text()


@pytest.mark.parametrize(("answer", "code", "approved"), [("y", 0, True), ("n", 4, False), ("", 4, False)])
def test_on_a_terminal_a_person_is_asked(here: Path, answer: str, code: int, approved: bool) -> None:
    """Only a clear yes approves the same story again."""
    path = write(here, "again", url="https://example.org/ports")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bot", "--workspace", str(here), "approve", "again"]

    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        os.write(ours, f"{answer}\n".encode())
        said, _ = asked.communicate(timeout=60)

    assert b"Approve it all the same? [y/N]" in said
    assert asked.returncode == code
    assert ("status: approved" in path.read_text()) is approved


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """A publication that has sent "ports" in its first issue."""
    return make_group(tmp_path / "group")


def duplicates(group: Group, name: str) -> list[str]:
    """What the approval of this item asks about."""
    here = group.workspace
    found = [f.message for f in approval_findings(here, [name]) if is_duplicate(f)]
    here.release()
    return found


def test_a_story_that_went_out_is_found_again(group: Group) -> None:
    """The finding says where, so that a person can look."""
    write(group.root, "again", url="https://example.org/ports?utm_source=x")

    (found,) = duplicates(group, "again")

    assert "ports, which went out in weekly no. 1" in found


def test_a_post_whose_item_lost_its_file_is_found_by_its_address(group: Group) -> None:
    """The ledger keeps where the post led to."""
    path, here = write(group.root, "gone", url="https://example.org/gone"), group.workspace
    post = Post(channel="social", slot=SLOT, item=read_item(path))
    here.ledger.record_post(post, replace(WORDS, kind="post", url=post.item.url), "social", SLOT)
    (delivery,) = here.ledger.take("social", SLOT, 1)
    here.ledger.settle(delivery.sent(Receipt(remote_id="1"), SLOT))
    here.release()
    path.unlink()
    write(group.root, "again", url="https://example.org/gone?utm_campaign=x")

    (found,) = duplicates(group, "again")

    assert "gone, which went out on social" in found


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (PORTS, PORTS.upper() + ".", True),
        (PORTS, PORTS.replace("workers", "worker"), True),
        ("ไทยช่วยแรงงานประมงกลับบ้าน", "ไทยช่วยแรงงานประมงกลับบ้านแล้ว", True),
        ("Trafficking report 2024", "Trafficking report 2025", False),
        (PORTS, "Farm workers freed after a strike in Almería", False),
    ],
)
def test_titles_are_nearly_the_same(one: str, other: str, same: bool) -> None:
    """A word more, another ending or capitals are nothing; another number is another story."""
    assert is_nearly_same_title(one, other) is same


@pytest.mark.parametrize(
    ("lang", "meant"),
    [
        ("jp", "did you mean 'ja'?"),
        ("cn", "did you mean 'zh'?"),
        ("sp", "did you mean 'es'?"),
        ("en-UK", "did you mean 'en-GB'?"),
        ("xx", "write its code"),
    ],
)
def test_a_language_that_does_not_exist_is_a_slip(lang: str, meant: str) -> None:
    """People write the country for the language."""
    assert meant in language_problem(lang)


@pytest.mark.parametrize("lang", ["en", "pt-BR", "zh-Hant", "es-419", "ksw", "sr-Latn-RS", "en-u-co-phonebk"])
def test_a_language_that_may_exist_passes(lang: str) -> None:
    """Rare ones have three letters, and no list here holds them all."""
    assert language_problem(lang) == ""


def item(**fields: object) -> Item:
    """A good item, but for these fields."""
    base = {"id": "x", "path": Path("x.md"), "title": "T", "url": "https://example.org", "source": "S"}
    return Item(**{**base, "published": date(2026, 5, 4), **fields})


def test_an_unknown_channel_blocks_with_what_was_meant() -> None:
    """Else the item would wait for ever, and nobody would know why."""
    (found,) = name_findings(item(channels=("weekly", "mastadon")), {"weekly": (), "mastodon": ()})

    assert (found.level, found.rule) == (Level.BLOCK, "channels.unknown")
    assert "'mastadon'; did you mean 'mastodon'?" in found.message


def test_a_language_that_nobody_takes_is_told() -> None:
    """It is a fine item that will not go out."""
    (found,) = name_findings(item(lang="fi"), {"weekly": ("en", "es")})

    assert (found.level, found.rule) == (Level.WARN, "lang.unserved")
    assert list(name_findings(item(lang="en-GB"), {"weekly": ("en", "es")})) == []


def test_an_unknown_channel_stops_the_approval(here: Path) -> None:
    """With exit code 4."""
    write(here, "lost", more="channels: [wekly]\n")

    ran = bot("approve", "lost", workspace=here)

    assert ran.code == 4
    assert "did you mean 'weekly'?" in ran.err


def test_a_region_that_is_nearly_another_is_told(here: Path) -> None:
    """No list of regions is kept, so the other items say how it is spelt."""
    for name in ("one", "two"):
        write(here, name, title=f"Story of {name}", more="region: Asia/Thailand\n")
    write(here, "three", more="region: Asia/Thialand\n")

    ran = bot("check", workspace=here)

    assert "did you mean 'Asia/Thailand'?" in ran.out


def test_a_file_that_nothing_reads_is_told(here: Path) -> None:
    """An editor of texts has added its own ending; pictures are no items."""
    for name in ("story.md.txt", "map.png", ".hidden"):
        (here / "queue" / name).write_text("x")

    ran = bot("check", workspace=here)

    assert "story.md.txt: is not read" in ran.out
    assert "map.png" not in ran.out
    assert ".hidden" not in ran.out
