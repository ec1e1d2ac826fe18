"""Readers in and out by the command: what is said, what is written, how it ends."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import pytest
from rich.console import Console

from bot.app.setup import make_workspace
from bot.audience.spreadsheet import Place
from bot.cli.progress import reading_file
from bot.cli.readers import _line
from tests.support.commands import bot, fingerprint


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A fresh workspace."""
    make_workspace(tmp_path / "news", sample=True)
    return tmp_path / "news"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A list with a formula for a name, and one row that cannot be used."""
    file = tmp_path / "list.csv"
    file.write_text("email,name,language\nana@shelf.ngo,Zoë,es\nli@shelf.ngo,=1+1,\nnobody,x,\n")
    return file


def test_an_import_with_refused_rows_asks_for_a_person(here: Path, table: Path) -> None:
    """The others are in; the exit code is 1 and the report says why, for people and for programs."""
    ran = bot("subscribers", "import", table, workspace=here)
    again = bot("subscribers", "import", table, "--json", workspace=here)

    assert (ran.code, again.code) == (1, 1)
    assert "Added 2 readers" in ran.out
    assert "list.csv:4: 'nobody' is not a mail address" in ran.err
    told = json.loads(again.out)
    assert (told["added"], told["unchanged"], told["refused"]) == (0, 2, 1)
    assert told["refusals"][0]["line"] == 4


def test_an_import_of_good_rows_ends_well(here: Path, tmp_path: Path) -> None:
    """Also one that changes nothing; and no bar is drawn where nobody looks."""
    file = tmp_path / "list.csv"
    file.write_text("email\nana@shelf.ngo\n")

    first = bot("subscribers", "import", file, workspace=here)
    second = bot("subscribers", "import", file, workspace=here)

    assert (first.code, second.code) == (0, 0)
    assert "Added 0 readers, changed 0, unchanged 1" in second.out
    assert first.err == ""


def test_an_export_can_be_imported_elsewhere(here: Path, table: Path, tmp_path: Path) -> None:
    """Every value comes back as it was, although no cell of the file is a formula."""
    bot("subscribers", "import", table, workspace=here)
    out = tmp_path / "out.csv"
    elsewhere = tmp_path / "elsewhere"
    make_workspace(elsewhere, sample=True)

    ran = bot("subscribers", "export", "--to", out, workspace=here)
    bot("subscribers", "import", out, workspace=elsewhere)

    assert ran.code == 0
    with out.open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert "'=1+1" in cells
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
    listed = [bot("subscribers", "list", "--json", workspace=place).out for place in (here, elsewhere)]
    people = [sorted(json.loads(text), key=lambda person: person["address"]) for text in listed]
    assert people[0] == people[1]


def test_an_export_as_json_is_one_array(here: Path, table: Path) -> None:
    """Exactly what is stored, to standard output; an empty list is an empty array."""
    nobody = bot("subscribers", "export", "--format", "json", workspace=here)
    bot("subscribers", "import", table, workspace=here)

    ran = bot("subscribers", "export", "--format", "json", workspace=here)

    assert json.loads(nobody.out) == []
    assert {"email": "li@shelf.ngo", "name": "=1+1", "language": ""} in json.loads(ran.out)
    assert len(ran.out.splitlines()) == 4


def test_an_export_changes_nothing_and_is_for_the_owner_only(here: Path, tmp_path: Path) -> None:
    """A workspace stays as it is; the file holds personal data."""
    before = fingerprint(here)

    bot("subscribers", "export", "--to", tmp_path / "out.csv", workspace=here)

    assert fingerprint(here) == before
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o600


def test_an_unknown_newsletter_is_told_before_anything_is_written(here: Path, tmp_path: Path) -> None:
    """No empty file is left behind."""
    ran = bot("subscribers", "export", "--newsletter", "none", "--to", tmp_path / "out.csv", workspace=here)

    assert ran.code == 3
    assert "there is no newsletter 'none'" in ran.err
    assert not (tmp_path / "out.csv").exists()


def test_a_terminal_gets_a_bar(tmp_path: Path) -> None:
    """How far, how many rows and how fast; at the end of the file the rest is storing."""
    file = tmp_path / "list.csv"
    file.write_bytes(b"x" * 1_000)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)

    with reading_file(file, console) as tell:
        tell(Place(1_234, 500))
        console.print("half")
        tell(Place(2_468, 1_000))

    half, whole = screen.getvalue().split("half", 1)
    assert "Reading" in whole.split("Storing")[0] + half
    assert "2,468 rows" in whole
    assert "100%" in whole
    assert "Storing" in whole


def test_a_narrow_terminal_cuts_nothing_off(tmp_path: Path) -> None:
    """The time left is whole; the rate stays away."""
    file = tmp_path / "list.csv"
    file.write_bytes(b"x" * 1_000)
    screen = io.StringIO()

    with reading_file(file, Console(file=screen, force_terminal=True, width=50)) as tell:
        tell(Place(400_000, 1_000))

    assert "…" not in screen.getvalue()
    assert "400,000 rows" in screen.getvalue()


@pytest.mark.parametrize("command", [("add", "ana@shelf.ngo"), ("import", "list.csv")], ids=lambda c: c[0])
def test_nobody_is_added_where_there_is_no_newsletter(
    tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, str]
) -> None:
    """A reader of nothing would be kept for nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bot.toml").write_text('[publication]\ntitle = "The Shelf"\n')

    ran = bot("subscribers", *command, workspace=tmp_path)

    assert ran.code == 3
    assert "bot.toml has no newsletter; add a table [newsletters.NAME] first" in ran.err


def test_a_file_that_is_no_text_is_refused_in_plain_words(here: Path, tmp_path: Path) -> None:
    """Without the words of a decoder, and with what to do."""
    file = tmp_path / "list.csv"
    file.write_bytes(bytes([0xE9, 0x20, 0x41, 0x81, 0x20, 0x42]) * 9)

    ran = bot("subscribers", "import", file, workspace=here)

    assert ran.code == 3
    assert "UTF-8" in ran.err
    assert "codec" not in ran.err


@pytest.mark.parametrize("group", ["subscribers", "hooks", "dkim"])
def test_no_line_of_a_help_is_cut_off(group: str) -> None:
    """What a command does is said to the end."""
    assert "..." not in bot(group, "--help").out.partition("Commands:")[2]


def test_a_list_is_a_line_for_each_reader_where_no_terminal_is(here: Path, table: Path) -> None:
    """And with --all; how many they are is said beside it. As JSON it is one array, also of nobody."""
    nobody = bot("subscribers", "list", "--json", workspace=here)
    bot("subscribers", "import", table, workspace=here)

    listed = bot("subscribers", "list", workspace=here)
    people = json.loads(bot("subscribers", "list", "--json", workspace=here).out)

    assert json.loads(nobody.out) == []
    assert sorted(listed.out.splitlines()) == ["ana@shelf.ngo\tZoë\tes", "li@shelf.ngo\t=1+1\t"]
    assert listed.err == "2 readers\n"
    assert {"address": "ana@shelf.ngo", "name": "Zoë", "lang": "es"} in people


def test_a_terminal_shows_a_screenful_and_says_how_to_see_everybody(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the list is; --all goes through it line by line."""
    file = tmp_path / "long.csv"
    file.write_text("email\n" + "".join(f"r{number}@shelf.ngo\n" for number in range(12_345)))
    bot("subscribers", "import", file, workspace=here)
    monkeypatch.setattr("tests.support.commands._Stream.isatty", lambda _: True)
    monkeypatch.setenv("LINES", "24")

    shown = bot("subscribers", "list", workspace=here)
    everybody = bot("subscribers", "list", "--all", workspace=here)

    assert shown.out.count("@shelf.ngo") == 17
    assert shown.out.endswith("The first 17 of 12,345 readers. Everybody: bot subscribers list --all\n")
    assert len(set(everybody.out.splitlines())) == 12_345


def test_a_name_cannot_break_its_line() -> None:
    """What a terminal would obey stands escaped in the list."""
    assert (
        _line(("ana@shelf.ngo", "Ana\x1b[2J\tMaria\nB", "es"))
        == "ana@shelf.ngo\tAna\\u001b[2J\\tMaria\\nB\tes"
    )


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_second_row_that_takes_the_first_back_changes_nothing(
    here: Path, tmp_path: Path, dry: tuple[str, ...]
) -> None:
    """A list with two names for one person, imported again."""
    file = tmp_path / "twice.csv"
    file.write_text("email,name\nana@shelf.ngo,Ana\nli@shelf.ngo,Li\nANA@shelf.ngo,Anna\n")
    bot("subscribers", "import", file, workspace=here)

    again = bot("subscribers", "import", file, *dry, workspace=here)

    assert "0 readers, changed 0, unchanged 3, left out 0" in again.out
    assert "ana@shelf.ngo\tAnna\t" in bot("subscribers", "list", workspace=here).out


def test_a_person_is_shown_without_empty_heads(here: Path, table: Path) -> None:
    """The first line under a table's name is its first value."""
    bot("subscribers", "import", table, workspace=here)

    lines = bot("subscribers", "show", "ana@shelf.ngo", workspace=here).out.splitlines()

    below = [line.split()[:1] for line in lines[lines.index("subscriber") + 1 :] if line.strip()]
    assert below[:3] == [["id"], ["address"], ["address_key"]]
