"""What is held of people can be shown, erased and taken elsewhere, by command."""

from __future__ import annotations

import asyncio
import csv
import json
import secrets
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.app.confirmations import Errand, send_confirmation
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.store.joining import SignupRequest, Wording
from tests.support.commands import MONDAY, NEXT_MONDAY, bot
from tests.support.site import record

ANN = "Ann.Unusual@example.org"
NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    assert bot("init", "--sample", tmp_path / "news").code == 0
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


def test_what_is_a_persons_own_file_is_named_and_left_alone(here: Path) -> None:
    """A list in the workspace is the operator's to change: the command says so, and ends with 1."""
    (here / "old-list.csv").write_text(f"email\n{ANN.upper()}\njo{ANN}\n")
    (here / "outbox").mkdir(exist_ok=True)
    (here / "outbox" / "other.eml").write_text(f"To: jo{ANN}\n")

    would = bot("subscribers", "erase", ANN, "--dry-run", workspace=here)
    did = bot("subscribers", "erase", ANN, "--yes", workspace=here)
    (here / "old-list.csv").unlink()
    again = bot("subscribers", "erase", ANN, "--yes", workspace=here)

    assert (would.code, did.code, again.code) == (1, 1, 0)
    assert would.err == did.err == "old-list.csv holds this address, too: change it, or delete it.\n"
    assert (here / "outbox" / "other.eml").exists()
    assert again.out.startswith("Erased somebody who is no reader: 0 rows.")


def test_what_a_rehearsal_wrote_of_a_person_goes(here: Path) -> None:
    """Their mails, the page that links to them, the receipts in the ledger; and the next rehearsal works."""
    run = ("run", "--now", MONDAY, "--until", NEXT_MONDAY)
    bot(*run, workspace=here)
    sample = "ana@example.org"
    before = [path for path in here.rglob("*") if path.is_file() and sample.encode() in path.read_bytes()]

    did = bot("subscribers", "erase", sample, "--yes", workspace=here)

    after = [path for path in here.rglob("*") if path.is_file() and sample.encode() in path.read_bytes()]
    kinds = {path.suffix for path in before}
    assert kinds >= {".eml", ".html", ".sqlite3"}
    assert (did.code, after) == (1, [here / "bot.toml"])
    assert did.err.startswith("bot.toml holds this address, too")
    assert bot("status", workspace=here).code == 0
    assert bot("run", "--now", "2026-12-01 08:00", "--until", "2026-12-07 08:00", workspace=here).code == 0


async def test_a_rehearsed_confirmation_of_whoever_asked_goes(here: Path) -> None:
    """It was written for an address that somebody typed; after an erasure no file tells of it."""
    typed = "Zoe.Typed@bücher.example"
    workspace = Workspace(here)
    request = SignupRequest(
        id=secrets.token_hex(16),
        address=valid_address(typed),
        newsletters=("weekly",),
        lang="en",
        form_url="https://news.example.org/subscribe",
        wording=Wording(version="1", lang="en", body="Yes."),
        ip="192.0.2.0/24",
        asked_at=NOW,
    )
    record(workspace.joining, request)
    assert await send_confirmation(workspace, request, now=NOW) is Errand.DONE
    await workspace.close()
    workspace.release()

    before = on_disk(here)
    did = await asyncio.to_thread(
        bot, "subscribers", "erase", "zoe.typed@XN--BCHER-KVA.example", "--yes", workspace=here
    )

    assert b"zoe.typed" in before
    assert b"zoe.typed" not in on_disk(here)
    assert (did.code, did.err) == (0, "")
    assert did.out.startswith("Erased somebody who is no reader: 1 row and 1 file of rehearsals.")


def on_disk(folder: Path) -> bytes:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"".join(str(path).encode() + path.read_bytes() for path in files).lower()
