"""What is held of people can be shown, erased and taken elsewhere, by command."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.support.commands import MONDAY, NEXT_MONDAY, bot

ANN = "Ann.Unusual@example.org"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    assert bot("init", tmp_path / "news").code == 0
    here = tmp_path / "news"
    assert bot("subscribers", "add", ANN, "--name", "=Ann", "--lang", "th", workspace=here).code == 0
    assert bot("subscribers", "add", "bob@example.org", workspace=here).code == 0
    return here


def test_a_person_is_shown_all_that_is_held(here: Path) -> None:
    shown = bot("subscribers", "show", "ann.unusual@EXAMPLE.org", workspace=here)
    held = json.loads(bot("subscribers", "show", ANN, "--json", workspace=here).out)

    assert shown.code == 0
    assert ANN in shown.out
    assert set(held) == {"subscriber", "subscriptions"}
    assert held["subscriber"][0]["name"] == "=Ann"
    assert held["subscriptions"][0]["newsletter"] == "weekly"
    assert "Nothing is held" in bot("subscribers", "show", "nobody@example.org", workspace=here).out


def test_an_erased_person_is_found_nowhere(here: Path) -> None:
    """Database, outbox, exports; and a list does not bring them back."""
    mail = here / "outbox" / "mail" / "confirmation.eml"
    mail.parent.mkdir(parents=True)
    mail.write_text(f"To: {ANN}\n\nConfirm.\n")
    (here / "outbox" / "mail" / "other.eml").write_text("To: bob@example.org\n\nConfirm.\n")

    would = bot("subscribers", "erase", ANN, "--dry-run", workspace=here)
    did = bot("subscribers", "erase", ANN, "--yes", workspace=here)

    assert would.out == did.out.replace("Erased", "Would erase")
    assert did.out.startswith("Erased a reader: 2 rows and 1 file of rehearsals.")
    (here.parent / "list.csv").write_text(f"email\n{ANN}\n")
    again = bot("subscribers", "import", here.parent / "list.csv", workspace=here)
    bot("export", here.parent / "out", workspace=here)
    (here.parent / "list.csv").unlink()
    files = [path for path in here.parent.rglob("*") if path.is_file()]
    assert "Added 0" in again.out
    assert not [path for path in files if b"unusual" in path.read_bytes().lower()]
    assert [path for path in files if b"bob@example.org" in path.read_bytes()]


def test_erasing_asks_first(here: Path) -> None:
    asked = bot("subscribers", "erase", ANN, workspace=here, stdin="n\n")

    assert asked.code != 0
    assert ANN in bot("subscribers", "list", workspace=here).out


def test_everything_can_be_taken_elsewhere(here: Path) -> None:
    """Each table twice, the same in both; nobody else may read it; nothing is overwritten."""
    bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)
    bot("subscribers", "remove", "carl@example.org", workspace=here)
    folder = here.parent / "out"

    told = bot("export", folder, workspace=here)
    again = bot("export", folder, workspace=here)

    assert told.code == 0
    assert again.code == 3
    assert "exists already" in again.err
    assert folder.stat().st_mode & 0o777 == 0o700
    names = {path.stem for path in folder.iterdir()}
    assert names == {
        "readers", "suppressions", "consent", "unconfirmed", "bounces", "issues", "printed", "posted",
    }  # fmt: skip
    for name in names:
        with (folder / f"{name}.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
        document = json.loads((folder / f"{name}.json").read_text())
        assert [list(row) for row in table] == [list(row) for row in document]
    readers = json.loads((folder / "readers.json").read_text())
    assert {row["email"]: row["name"] for row in readers} == {ANN: "=Ann", "bob@example.org": ""}
    assert "'=Ann" in (folder / "readers.csv").read_text()
    assert [row["email"] for row in json.loads((folder / "suppressions.json").read_text())] == [
        "carl@example.org"
    ]
    assert len(json.loads((folder / "printed.json").read_text())) == 25


def test_an_export_that_breaks_off_leaves_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bot.app.leaving._csv", full)

    told = bot("export", here.parent / "out", workspace=here)

    assert told.code != 0
    assert sorted(path.name for path in here.parent.iterdir()) == ["news"]
