"""The commands as an organiser types them."""

from __future__ import annotations

import json
import os
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from support.commands import FRIDAY, MONDAY, NEXT_MONDAY, bot, fingerprint

from bot.app.setup import make_workspace


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A fresh workspace, as ``bot init`` makes it."""
    make_workspace(tmp_path / "news", sample=True)
    return tmp_path / "news"


def settings(here: Path, old: str, new: str) -> None:
    file = here / "bot.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


# --------------------------------------------------------------------------- the first five minutes


def test_init_makes_a_workspace_and_touches_nothing_that_is_there(tmp_path: Path) -> None:
    """Sample queue, settings, templates, and a .env with a key of its own that only the owner reads."""
    target = tmp_path / "news"
    made = bot("init", "--sample", target)
    (target / "bot.toml").write_text("# mine\n")

    again = bot("init", "--sample", target)

    assert made.code == 0
    assert len(list((target / "queue").glob("*.md"))) == 25
    assert (target / ".env").stat().st_mode & 0o777 == 0o600
    assert "BOT_SECRET_KEY=\n" not in (target / ".env").read_text()
    assert "workspace already" in again.out
    assert (target / "bot.toml").read_text() == "# mine\n"


def test_a_rehearsed_week_and_then_nothing_is_due(here: Path) -> None:
    """One issue to every sample reader, a post for every slot; the second time there is nothing to do."""
    first = bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)
    second = bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)

    assert first.code == second.code == 0
    assert "16 sent" in first.out
    assert "'bot forget-rehearsal' takes that back" in first.out
    assert second.out.splitlines()[-1] == "Nothing is due."
    assert len(list((here / "outbox" / "mail").glob("*.eml"))) == 3
    assert len(list((here / "outbox" / "mastodon").glob("*.json"))) == 6
    assert len(list((here / "outbox" / "telegram").glob("*.json"))) == 7


def test_the_rehearsed_mail_is_a_real_one(here: Path) -> None:
    """It parses, names its list, and carries this reader's own one-click link in headers and both parts."""
    bot("run", "--now", FRIDAY, workspace=here)

    links = set()
    for file in (here / "outbox" / "mail").glob("*.eml"):
        mail = message_from_bytes(file.read_bytes(), policy=policy.default)
        link = mail["List-Unsubscribe"].strip("<>")
        links.add(link)
        text = mail.get_body(("plain",))
        html = mail.get_body(("html",))
        assert text is not None
        assert html is not None
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert link in text.get_content()
        assert link in html.get_content()
        assert "﷐" not in file.read_text("ascii")
    assert len(links) == 3


def test_the_outbox_shows_everything(here: Path) -> None:
    """The index names every file that was written, and each of its links leads to a file."""
    import re

    bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)
    page = (here / "outbox" / "index.html").read_text()

    linked = set(re.findall(r'(?:href|src)="([^"#:]+)"', page))
    written = {str(p.relative_to(here / "outbox")) for p in (here / "outbox").rglob("*.*") if p.is_file()}

    assert linked <= written
    assert written - linked == {"index.html", "weekly-2026-11-27T0900+0700.txt"}


# --------------------------------------------------------------------------- dry runs


def test_a_dry_run_twice_is_the_same_to_the_byte_and_changes_nothing(here: Path) -> None:
    """Also where a ledger lies already; no file appears, vanishes or changes."""
    bot("run", "--now", "2026-11-24 19:00", workspace=here)
    before = fingerprint(here)

    runs = [bot("run", "--once", "--dry-run", "--now", FRIDAY, workspace=here) for _ in range(2)]

    assert runs[0] == runs[1]
    assert runs[0].code == 0
    assert "Subject: The Weekly Shelf: 25 items, 27 November 2026" in runs[0].out
    assert "to 3 recipients" in runs[0].out
    assert fingerprint(here) == before


@pytest.mark.parametrize(
    "command", [("run", "--now", FRIDAY), ("hold",), ("show", "no-such-item"), ("status",)]
)
def test_a_command_that_ended_has_let_go_of_the_ledger(here: Path, command: tuple[str, ...]) -> None:
    """However it ended; SQLite takes the file that goes with the ledger away when the last one has let go."""
    bot("run", "--now", FRIDAY, workspace=here)

    bot(*command, workspace=here)

    assert [path.name for path in (here / "state").iterdir() if path.name.endswith(("-wal", "-shm"))] == []


def test_a_dry_run_in_a_fresh_workspace_leaves_it_fresh(here: Path) -> None:
    """Nothing was ever recorded, and nothing is now: no state folder, no outbox."""
    before = fingerprint(here)

    ran = bot("run", "--once", "--dry-run", workspace=here)

    assert ran.code == 0
    assert fingerprint(here) == before


@pytest.mark.parametrize(
    "command",
    [
        ("add", "--title", "A new story", "--url", "https://example.org/x"),
        ("approve", "25-bali-process-minimal", "--by", "mali"),
        ("hold",),
        ("resume",),
        ("preview", "--now", FRIDAY),
        ("send-test", "--to", "ana@example.org"),
        ("subscribers", "add", "ana@example.org"),
        ("subscribers", "remove", "ana@example.org"),
        ("retry",),
    ],
    ids=lambda command: command[0] if command[0] != "subscribers" else " ".join(command[:2]),
)
def test_dry_run_on_everything_that_writes_or_sends(here: Path, command: tuple[str, ...]) -> None:
    """It says what it would do and leaves every file as it was."""
    before = fingerprint(here)

    ran = bot(*command, "--dry-run", workspace=here)

    assert ran.code == 0, ran.err
    assert ran.out
    assert fingerprint(here) == before


def test_a_preview_shows_each_post_at_its_own_slot(here: Path) -> None:
    """The same times as the plan: no two posts of a channel at one moment."""
    shown = bot("preview", "--now", FRIDAY, workspace=here).out
    planned = bot("plan", "--now", FRIDAY, "--days", "7", "--all", workspace=here).out

    moments = [line[:23].strip() for line in shown.splitlines() if " mastodon " in line]
    assert len(moments) == len(set(moments)) > 6
    assert moments[0] in planned


def test_a_preview_on_the_terminal_fits_a_screen(here: Path) -> None:
    """The whole issue is behind --all."""
    short = bot("preview", "--dry-run", "--now", FRIDAY, workspace=here).out.splitlines()
    whole = bot("preview", "--dry-run", "--all", "--now", FRIDAY, workspace=here).out.splitlines()

    assert len(short) <= 60 < len(whole)
    assert short[-1] == f"{len(whole) - 56:,} more lines: add --all"


# --------------------------------------------------------------------------- items


def test_adding_never_publishes(here: Path) -> None:
    """A new item is a draft; only after an approval does the plan hold it."""
    bot("add", "--title", "A new story", "--url", "https://example.org/x", "--by", "sam", workspace=here)
    draft = bot("plan", "--now", MONDAY, "--json", workspace=here)
    bot("approve", "a-new-story", "--by", "mali", workspace=here)
    approved = bot("plan", "--now", MONDAY, "--json", workspace=here)

    def planned(text: str) -> set[str]:
        moments = json.loads(text)["moments"]
        return {item for m in moments for issue in m["issues"] for item in issue["items"]}

    assert "a-new-story" not in planned(draft.out)
    assert "a-new-story" in planned(approved.out)
    assert "approved_by" in (here / "queue" / "a-new-story.md").read_text()


def test_an_item_from_standard_input_is_a_draft_whatever_it_says(here: Path) -> None:
    """A file that brings its own approval is not approved by that."""
    text = (here / "queue" / "25-bali-process-minimal.md").read_text()
    assert "status: approved" in text

    ran = bot("add", "-", workspace=here, stdin=text)

    (new,) = [p for p in (here / "queue").glob("*.md") if p.stem not in _shipped()]
    assert ran.code == 0
    assert "status: draft" in new.read_text()
    assert "sample editor" not in new.read_text()


def _shipped() -> set[str]:
    return {path.stem for path in (Path(__file__).parent.parent / "queue").glob("*.md")}


def test_a_bad_item_is_told_and_never_stops_the_good_ones(here: Path) -> None:
    """Path, line and advice; exit code 4; the week goes out all the same."""
    (here / "queue" / "broken.md").write_text('---\ntitle: "An unclosed quote\nurl: x\n---\nBody.\n')

    checked = bot("check", workspace=here)
    ran = bot("run", "--now", FRIDAY, workspace=here)

    assert checked.code == 4
    assert "broken.md:2" in checked.err
    assert "25 items" in ran.out
    assert "broken.md:2" in ran.err


def test_a_blocked_item_can_neither_be_approved_nor_sent(here: Path) -> None:
    """A picture without a description stops the item, not the issue."""
    file = here / "queue" / "24-more-literature-combining-marks.md"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("alt:")]
    file.write_text("\n".join(lines) + "\n")

    approved = bot("approve", file.stem, workspace=here)
    ran = bot("run", "--now", FRIDAY, workspace=here)

    assert approved.code == 4
    assert "alt" in approved.err
    assert "24 items" in ran.out
    assert "image.alt.missing" in ran.err


def test_a_name_that_is_not_there_is_guessed(here: Path) -> None:
    """Typing errors get the nearest name, and a code of their own."""
    ran = bot("show", "25-bali-proces", workspace=here)

    assert ran.code == 3
    assert "did you mean '25-bali-process-minimal'?" in ran.err


def test_show_and_list_speak_json(here: Path) -> None:
    """Every listing has a form for programs."""
    shown = json.loads(bot("show", "17-ar-world-day", "--json", workspace=here).out)
    listed = json.loads(bot("list", "--lang", "ar", "--json", workspace=here).out)

    assert shown["item"]["lang"] == "ar"
    assert [item["id"] for item in listed["items"]] == ["17-ar-world-day"]


# --------------------------------------------------------------------------- plan, stop and go


def test_stop_holds_everything_until_somebody_goes_on(here: Path) -> None:
    """Any organiser can stop all at once, by command or by a file; the reason says who."""
    bot("hold", "--by", "jo", "--because", "photo?", workspace=here)
    held = bot("run", "--now", FRIDAY, workspace=here)
    bot("resume", workspace=here)
    (here / "STOP").write_text("")
    by_file = bot("run", "--now", FRIDAY, workspace=here)
    (here / "STOP").unlink()

    gone = bot("run", "--now", FRIDAY, workspace=here)

    assert "held by jo: photo?" in held.err
    assert "STOP" in by_file.err
    assert "sent" not in held.out + by_file.out
    assert "3 sent" in gone.out


def test_a_held_item_waits_alone(here: Path) -> None:
    """The others go out without it."""
    bot("hold", "25-bali-process-minimal", workspace=here)

    ran = bot("run", "--now", FRIDAY, workspace=here)

    assert "24 items" in ran.out


def test_too_little_for_an_issue_waits_and_says_so(here: Path) -> None:
    """Never an empty issue."""
    settings(here, "min_items = 3", "min_items = 26")
    settings(here, "max_items = 25", "max_items = 30")

    ran = bot("run", "--now", FRIDAY, workspace=here)

    assert "25 of 26 items approved" in ran.err
    assert not list((here / "outbox").rglob("*.eml"))


def test_several_newsletters_each_in_their_language(here: Path) -> None:
    """A Spanish edition takes the Spanish item and speaks Spanish around it."""
    with (here / "bot.toml").open("a") as file:
        file.write(
            '\n[newsletters.semanal]\ntitle = "El Estante"\nlanguage = "es"\nlanguages = ["es"]\n'
            'channel = "mail"\nslots = ["Fri 09:00"]\nsender = "El Estante <semanal@news.example.org>"\n'
        )

    ran = bot("run", "--now", FRIDAY, workspace=here)

    page = (here / "outbox" / "semanal-2026-11-27T0900+0700.txt").read_text()
    assert "6 sent" in ran.out
    assert "27 de noviembre de 2026" in page
    assert "Corazón Azul" in page


def test_now_is_for_rehearsals(here: Path) -> None:
    """In live mode nobody sets the clock."""
    settings(here, 'mode = "rehearsal"', 'mode = "live"')
    settings(here, "https://news.example.org", "https://news.shelf.ngo")

    ran = bot("run", "--once", "--now", FRIDAY, workspace=here)

    assert ran.code == 2
    assert "--now is for rehearsals" in ran.err


def test_status_counts_and_names_what_is_next(here: Path) -> None:
    """Numbers per channel, in words and as JSON."""
    bot("run", "--now", FRIDAY, workspace=here)

    told = bot("status", workspace=here)
    counted = json.loads(bot("status", "--json", workspace=here).out)

    assert told.code == 0
    assert "Mode: rehearsal, next: " in told.out
    assert counted["counts"]["mail"] == {"sent": 3}


# --------------------------------------------------------------------------- readers


def test_readers_come_and_go(here: Path, tmp_path: Path) -> None:
    """An import is told row by row; whoever left stays away from the next one."""
    table = tmp_path / "list.csv"
    table.write_text("email,name\nana@shelf.ngo,Ana\nli@shelf.ngo,Li\nnobody,x\n")

    rehearsed = bot("subscribers", "import", table, "--dry-run", workspace=here)
    imported = bot("subscribers", "import", table, workspace=here)
    bot("subscribers", "remove", "li@shelf.ngo", workspace=here)
    again = bot("subscribers", "import", table, workspace=here)
    listed = json.loads(bot("subscribers", "list", "--json", workspace=here).out)

    assert "Would add 2 readers" in rehearsed.out
    assert "Added 2 readers" in imported.out
    assert "list.csv:4: 'nobody' is not a mail address" in imported.err
    assert "Added 0 readers" in again.out
    assert "left out 1 who unsubscribed" in again.out
    assert [reader["address"] for reader in listed] == ["ana@shelf.ngo"]


def test_somebody_who_left_cannot_be_added_by_hand(here: Path) -> None:
    """Suppression wins over everything but the person."""
    bot("subscribers", "add", "li@shelf.ngo", workspace=here)
    bot("subscribers", "remove", "li@shelf.ngo", workspace=here)

    ran = bot("subscribers", "add", "li@shelf.ngo", workspace=here)

    assert ran.code == 3
    assert "only this person can sign up again" in ran.err


# --------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("lsit",), 2, "Did you mean 'list'?"),
        (("add", "--title", "x"), 2, "both --title and --url"),
        (("add", "--title", "x", "--url", "javascript:alert(1)"), 4, "javascript"),
        (("run", "--until", "2026-11-30"), 2, "--until needs --now"),
        (("run", "--now", MONDAY, "--until", NEXT_MONDAY, "--dry-run"), 2, "'bot plan' shows"),
        (("run", "--now", "soon"), 2, "'soon' is not a time; write '2026-11-27 09:00'"),
        (("hold", "nothing-like-it"), 3, "there is no item 'nothing-like-it'"),
        (("settle", "abc"), 2, "Say what you saw"),
        (("settle", "abc", "--sent"), 3, "abc"),
        (("preview", "--newsletter", "daily"), 3, "newsletters here: weekly"),
        (("send-test", "--to", "nobody"), 3, "is not a mail address"),
        (("status", "--channel", "pigeon"), 3, "channels here: mail, mastodon, telegram"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_line_and_a_code(here: Path, command: tuple[str, ...], code: int, said: str) -> None:
    """Never a traceback for a person's mistake."""
    ran = bot(*command, workspace=here)

    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert "Traceback" not in ran.err


def test_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    """The first thing a newcomer may get wrong."""
    ran = bot("list", workspace=tmp_path)

    assert ran.code == 3
    assert "bot init DIR" in ran.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"Fri 09:00"', '"Fry 09:00"', "newsletters.weekly.slots: 'Fry 09:00'"),
        (
            'type = "telegram"',
            'type = "telegraph"',
            "there is no 'telegraph'; types: email, mastodon, telegram",
        ),
        ('visibility = "unlisted"', 'visibility = "hidden"', "channels.mastodon.visibility: "),
        ('chat = "@example', 'chatt = "@example', "did you mean 'chat'?"),
    ],
)
def test_a_wrong_setting_of_a_channel_is_told(here: Path, old: str, new: str, said: str) -> None:
    """File, key, and what would be right; for the types' own options too."""
    settings(here, old, new)

    ran = bot("run", "--now", FRIDAY, workspace=here)

    assert ran.code == 3
    assert said in ran.err


# --------------------------------------------------------------------------- the disk and the machine


def test_a_folder_that_cannot_be_written_is_one_line(here: Path, tmp_path: Path) -> None:
    """Where a folder is in the way of a file, or a file of a folder: place, problem, advice; no traceback."""
    (tmp_path / "taken").write_text("")
    (here / "state").write_text("")

    made, ran = bot("init", "--sample", tmp_path / "taken" / "news"), bot("run", "--once", workspace=here)

    for done in (made, ran):
        assert done.code in (1, 6)
        assert done.err.startswith("Error: ")
        assert len(done.err.splitlines()) == 1


def test_nothing_to_put_back_is_said_in_english(here: Path) -> None:
    """The plural of delivery."""
    assert bot("retry", workspace=here).out == "Put 0 deliveries back in line.\n"


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_preview_never_opens_a_pipe_or_a_file_from_elsewhere(here: Path, tmp_path: Path, kind: str) -> None:
    """A named item is shown even when it is blocked, but its picture is read only from the queue folder."""
    picture = here / "queue" / "images" / "x.png"
    if kind == "pipe":
        os.mkfifo(picture)
    else:
        (tmp_path / "secret.png").write_bytes((here / "queue/images/24-books.png").read_bytes())
        picture.symlink_to(tmp_path / "secret.png")
    bot("add", "--title", "Odd", "--url", "https://example.org/odd", workspace=here)
    file = here / "queue" / "odd.md"
    file.write_text(file.read_text().replace("title:", "image: images/x.png\nalt: A\ntitle:", 1))

    done = bot("preview", "odd", workspace=here)

    assert done.code == 4
    assert "image x.png cannot be read: not a file in the queue folder" in done.err
