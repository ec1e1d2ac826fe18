"""What the pages say is what the program does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from bot.cli.main import COMMANDS
from bot.errors import BroadsideError

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def tables():  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_generated_tables_are_up_to_date(page: Path) -> None:
    """Run `python docs/tables.py` when this fails."""
    text = page.read_text()

    assert tables().renewed(text) == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    """No page points at a file that is not there."""
    links = [link for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()) if link]

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    """`bot something` in a page is a command."""
    shown = set(re.findall(r"(?:`|\$ |bin/)bot ([a-z][a-z-]+)", page.read_text()))

    assert shown <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_shows_exists(page: Path) -> None:
    """`make something` in a page is a target."""
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))

    assert set(re.findall(r"(?:`|\$ )make ([a-z]+)", page.read_text())) <= targets


def test_every_exit_code_is_documented() -> None:
    """Each code of an error stands in the operators' table."""

    def codes(kind: type[BroadsideError]) -> set[int]:
        return {kind.exit_code}.union(*(codes(sub) for sub in kind.__subclasses__()))

    listed = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", (ROOT / "docs/operators.md").read_text())}

    assert codes(BroadsideError) <= listed


def test_every_room_of_the_house_is_described() -> None:
    """A stranger finds each module and package of bot/ in the developers' page."""
    page = (ROOT / "docs/developers.md").read_text()
    named = set(re.findall(r"(?m)^  ([a-z]+(?:/|\.py))", page))

    rooms = {f"{path.name}/" if path.is_dir() else path.name for path in (ROOT / "bot").glob("[a-z]*")}
    assert named == rooms
