"""A small archive: items as files, an issue and a post that went out, and what never did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.app.archive import Archive, read_archive
from bot.app.layout import Layout
from bot.app.site import Site
from bot.app.workspace import Workspace
from bot.model import Issue, Message, Post, Receipt
from tests.support.site import make_site

SLOT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
WORDS = Message(kind="issue", lang="en", subject="s", text="t")

PORTS = """\
---
title: "Ports: who <checks> whom & why"
url: https://example.org/ports
source: "Harbour Post"
published: 2026-11-18
region: Asia-Pacific/Thailand
tags: [ports]
lang: en
summary: "Inspectors came back in the spring."
content_warning: "Violence is mentioned"
image: images/ports.png
alt: "A drawing of a crane."
further_reading:
  - title: "The Box"
    author: "Marc Levinson"
    url: https://example.org/box
also_reported_by:
  - source: "Sea Times"
    url: https://example.org/sea
status: approved
---

Two cranes stood still.[^1]

## What was found

| A | B |
|---|---|
| 1 | 2 |

[^1]: Since March.
"""

PLAIN = """\
---
title: "{title}"
url: https://example.org/story
source: "{source}"
published: 2026-11-18
lang: {lang}
summary: "{summary}"
status: {status}
---

{body}
"""
PNG = (Path(__file__).parents[2] / "queue" / "images" / "13-one-in-150.png").read_bytes()


@dataclass(frozen=True)
class Group:
    """A workspace whose archive a test can fill."""

    root: Path

    @property
    def workspace(self) -> Workspace:
        """Opened anew, as each command does."""
        return Workspace(self.root)

    def item(
        self,
        name: str,
        *,
        title: str = "",
        lang: str = "en",
        status: str = "approved",
        source: str = "A paper",
        summary: str = "In short.",
        body: str = "At length.",
    ) -> None:
        """Write an item's file."""
        text = PLAIN.format(
            title=title or name.title(),
            lang=lang,
            status=status,
            source=source,
            summary=summary,
            body=body,
        )
        (self.root / "queue" / f"{name}.md").write_text(text, encoding="utf-8")

    def print(self, *names: str, number: int = 1, newsletter: str = "weekly", slot: datetime = SLOT) -> None:
        """An issue that went out."""
        here = self.workspace
        items = {item.id: item for item in here.read_queue().items}
        issue = Issue(
            newsletter=newsletter, number=number, slot=slot, items=tuple(items[name] for name in names)
        )
        here.mailings.record_issue(issue, {"": WORDS}, "mail", slot, [])
        here.release()

    def post(self, name: str, *, at: datetime = SLOT, url: str = "", sent: bool = True) -> None:
        """An item that was posted, or only planned."""
        here = self.workspace
        items = {item.id: item for item in here.read_queue().items}
        post = Post(channel="social", slot=at, item=items[name])
        here.ledger.record_post(post, replace(WORDS, kind="post"), "social", at)
        if sent:
            (delivery,) = here.ledger.take("social", at, 1)
            here.ledger.settle(delivery.sent(Receipt(remote_id="1", url=url), at))
        here.release()

    def archive(self) -> Archive:
        """As it is now."""
        here = self.workspace
        found = read_archive(here)
        here.release()
        return found

    def site(self, *, built: bool = False) -> Site:
        """Its pages."""
        here = self.workspace
        layout = Layout(settings=here.settings, templates=here.templates)
        found = Site(archive=read_archive(here), layout=layout, built=built)
        here.release()
        return found


def make_group(root: Path, *, mode: str = "live") -> Group:
    """Two newsletters, of which one has an issue with three stories and one item was posted.

    A draft, a held item and one that is approved and has not gone out lie beside them.
    """
    make_site(root, mode=mode)
    (root / "queue" / "images").mkdir()
    (root / "queue" / "images" / "ports.png").write_bytes(PNG)
    (root / "queue" / "ports.md").write_text(PORTS, encoding="utf-8")
    group = Group(root)
    group.item(
        "boats", lang="ar", title="قوارب في الميناء", source="جريدة", summary="خبر قصير.", body="نص الخبر."
    )
    group.item("nets", lang="th", title="อวนและเรือ", source="หนังสือพิมพ์", summary="ข่าวสั้น", body="เนื้อข่าว")
    group.item("sails", title="Sails are back")
    group.item("secret-draft", status="draft", title="Nobody may read this yet")
    group.item("secret-held", status="held", title="Nobody may read this either")
    group.item("secret-waiting", title="Approved and not sent")
    group.print("ports", "boats", "nets")
    group.post("sails", at=SLOT + timedelta(hours=5), url="https://social.example/@shelf/7")
    group.post("secret-waiting", at=SLOT + timedelta(days=9), sent=False)
    return group
