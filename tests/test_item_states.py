"""What ``list``, ``show`` and ``status`` say of items is what plan, holds and ledger know."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, update

from bot.store.schema import chunk, letter
from tests.support.commands import FRIDAY, bot

BEFORE, SATURDAY = "2026-11-27 08:00", "2026-11-28 12:00"
PLANNED = "06-a-century-of-law-long"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A workspace with the samples."""
    bot("init", "--sample", tmp_path)
    return tmp_path


def listed(here: Path, name: str) -> dict[str, Any]:
    items = json.loads(bot("list", "--json", workspace=here).out)["items"]
    return next(item for item in items if item["id"] == name)


def places(here: Path, name: str) -> dict[str, str]:
    return {place["where"]: place["state"] for place in listed(here, name)["places"]}


def test_an_approved_item_says_where_it_is_planned(here: Path) -> None:
    """The next issue takes it; the channels one after the other."""
    found = listed(here, PLANNED)

    assert found["state"] == "planned"
    assert found["places"][0]["at"] is not None
    assert set(places(here, PLANNED)) == {"weekly", "mastodon", "telegram"}


def test_a_draft_is_a_draft_everywhere(here: Path) -> None:
    """Whatever the plan would make of it."""
    file = here / "queue" / f"{PLANNED}.md"
    file.write_text(file.read_text().replace("status: approved", "status: draft"))

    assert listed(here, PLANNED)["state"] == "draft"
    assert set(places(here, PLANNED).values()) == {"draft"}


def test_what_went_out_is_sent_there_and_planned_elsewhere(here: Path) -> None:
    """Issue number, date and link stand beside it."""
    bot("run", "--now", BEFORE, "--until", SATURDAY, workspace=here)

    weekly = next(p for p in listed(here, PLANNED)["places"] if p["where"] == "weekly")
    shown = bot("show", PLANNED, workspace=here).out

    assert (weekly["state"], weekly["detail"]) == ("sent", "issue 1")
    assert "weekly: sent, issue 1, Fri 27 Nov 2026 09:00, https://news.example.org/issues/weekly/1" in shown


def test_the_worst_state_is_the_first(here: Path) -> None:
    """Held on one channel, sent in the issue: held is what a person must know."""
    bot("run", "--now", BEFORE, "--until", FRIDAY, workspace=here)
    bot("hold", "mastodon", "--because", "token leaked", workspace=here)

    shown = bot("show", "04-unodc-global-report-2024", workspace=here).out

    assert listed(here, "04-unodc-global-report-2024")["state"] == "held"
    assert "token leaked" in shown
    assert shown.index("mastodon: held") < shown.index("weekly: sent")


def test_a_listing_is_one_line_for_each_item(here: Path) -> None:
    """The id is whole, so that it can be copied; a long headline is cut."""
    lines = [
        line
        for line in bot("list", workspace=here).out.splitlines()
        if " planned " in line or " waiting " in line
    ]

    assert len(lines) == 25
    assert any("22-forced-labour-protocol-footnote " in line for line in lines)


def test_only_some_states_are_listed_when_asked(here: Path) -> None:
    """By the state at any place, or by the file's own word."""
    assert bot("list", "--status", "sent", workspace=here).out.splitlines()[-1] == "0 items"
    assert bot("list", "--status", "approved", workspace=here).out.splitlines()[-1] == "25 items"


def unknown_letter(here: Path) -> str:
    """A rehearsed issue whose first mail nobody knows of; its short name."""
    bot("run", "--now", FRIDAY, workspace=here)
    engine = create_engine(f"sqlite:///{here / 'state' / 'ledger.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(update(letter).where(letter.c.number == 1).values(state="unknown", doubts=1))
        connection.execute(update(chunk).values(sent=chunk.c.sent - 1, unknown=1))
    engine.dispose()
    return "i1.1"


def test_an_answered_doubt_is_told_no_more(here: Path) -> None:
    """Neither as unknown nor as gone out twice."""
    name = unknown_letter(here)
    before = bot("status", workspace=here)

    settled = bot("settle", name, "--sent", workspace=here)
    after = bot("status", workspace=here)

    assert settled.code == 0, settled.err
    assert (before.code, after.code) == (1, 0)
    assert name in before.out
    assert "may have gone out" not in after.out + after.err


def test_status_names_the_reader_only_when_asked(here: Path) -> None:
    """An address is nobody's business until somebody has to write to it."""
    unknown_letter(here)

    quiet, asked = bot("status", workspace=here).out, bot("status", "--addresses", workspace=here).out

    assert "@example.org" not in quiet
    assert "@example.org" in asked.replace("\n", "")


def test_a_file_that_nothing_reads_is_told(here: Path) -> None:
    """Else its author waits for ever."""
    (here / "queue" / "story.md.txt").write_text("---\n---\n")

    assert "story.md.txt" in bot("list", workspace=here).err


def test_a_plan_tells_what_waits_in_groups_and_each_by_itself_when_asked(here: Path) -> None:
    """One row for all that wait for their turn on a channel; --all has their places."""
    short = bot("plan", "--now", BEFORE, workspace=here).out.splitlines()
    whole = bot("plan", "--now", BEFORE, "--all", workspace=here).out.splitlines()

    waiting = [line for line in short if "waits for its turn" in line]
    assert [" mastodon " in line and " more " in line for line in waiting].count(True) == 1
    assert len(waiting) == 2
    places = [line for line in whole if re.search(r"waits for its turn; \d+ items before it", line)]
    assert len(places) > len(waiting)
    assert len(short) < 40 < len(whole)
