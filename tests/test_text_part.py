"""The newsletter's text part as a terminal shows it, made from the shipped sample by the command itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import regex

from bot.app.workspace import Workspace
from bot.rendering.text import WIDTH, columns
from tests.support.commands import MONDAY, bot

# Scripts that write words without spaces: their runs are left to the reader's own program to break.
_UNSPACED = regex.compile(r"\p{Line_Break=SA}{20}")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    assert bot("init", "--sample", tmp_path / "news").code == 0
    assert bot("preview", "--now", MONDAY, workspace=tmp_path / "news").code == 0
    return tmp_path / "news"


@pytest.fixture
def text(workspace: Path) -> str:
    return (workspace / "outbox" / "preview" / "weekly.txt").read_text(encoding="utf-8")


def test_no_line_is_wider_than_a_terminal(text: str) -> None:
    """78 columns, counted as a terminal counts Thai, Arabic and emoji."""
    wide = [line for line in text.splitlines() if columns(line) > WIDTH and not _UNSPACED.search(line)]

    assert wide == []


def test_every_item_is_there_with_its_address(workspace: Path, text: str) -> None:
    """Once in the contents and once at its story, under the same number."""
    flat = " ".join(text.split())
    items = Workspace(workspace, readonly=True).read_queue().items

    for item in items:
        assert flat.count(f". {' '.join(item.title.split())}") == 2
        assert f"<{item.url}>" in flat


def test_a_long_headline_hangs_beside_its_number(text: str) -> None:
    """So that it cannot be taken for the line of source and date below it."""
    first = "1. A century of law in one sitting: from the Slavery Convention (1926) to the"

    assert text.count(f"{first}\n   record-relief act (2026)\n") == 2


def test_paragraphs_are_apart_and_nothing_of_the_making_is_left(text: str) -> None:
    """No run of empty lines, no space at a line's end, no tag, no entity, no table bars."""
    assert "\n\n\n" not in text
    assert not any(line != line.rstrip(" ") for line in text.splitlines())
    assert not regex.search(r"</?(?:p|td|div|bdi|span)\b|&(?:amp|lt|gt|nbsp);|^\|", text, regex.MULTILINE)
