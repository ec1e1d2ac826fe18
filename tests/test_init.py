"""A new workspace: nothing in it reaches a reader before a person decided so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.commands import bot

from bot.cli.main import COMMANDS
from bot.reader import read_queue
from bot.shipped import STARTER, shipped


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A fresh workspace, as ``bot init`` makes it."""
    assert bot("init", tmp_path / "news").code == 0
    return tmp_path / "news"


def go_live(here: Path) -> None:
    """Set to live by hand, with a mail account that nobody answers for."""
    file = here / "bot.toml"
    text = file.read_text().replace('mode = "rehearsal"', 'mode = "live"')
    text = text.replace('postal_address = ""', 'postal_address = "1 Main Street"')
    file.write_text(text.replace("news.example.org", "news.ours.org"))
    env = here / ".env"
    env.write_text(env.read_text().replace("MAIL__PASSWORD=", "MAIL__PASSWORD=secret"))


def test_init_makes_an_empty_queue_with_one_example_draft(here: Path) -> None:
    """Nothing is approved, so nothing can go out."""
    (item,) = read_queue(here / "queue").items

    assert (item.id, item.status) == ("example-item", "draft")
    assert sorted(path.name for path in here.iterdir()) == [".env", ".gitignore", "bot.toml", "queue"]
    assert (here / ".env").stat().st_mode & 0o777 == 0o600


def test_only_mail_is_set_up_and_the_other_channels_say_how(here: Path) -> None:
    """Mastodon and Telegram stand as comments, each with its three steps, and work without their '#'."""
    text = (here / "bot.toml").read_text()
    assert "channels mail (email)" in bot("doctor", "--offline", workspace=here).out

    on = "\n".join(
        line.removeprefix("# ")
        if line.startswith(("# [channels", "# type", "# api", "# slots", "# spacing", "# vis", "# chat"))
        else line
        for line in text.splitlines()
    )
    (here / "bot.toml").write_text(on)

    assert "mastodon (mastodon), telegram (telegram)" in bot("doctor", "--offline", workspace=here).out
    for word in ("# Mastodon: 1.", "# Telegram: 1."):
        steps = text[text.index(word) :].splitlines()[:3]
        assert [f"{number}. " in line for number, line in enumerate(steps, start=1)] == [True] * 3


def test_secrets_readers_and_rehearsals_stay_out_of_a_git_repository(here: Path) -> None:
    """Whoever puts the folder under git does not publish them."""
    for name in (".env", "state/ledger.sqlite3", "outbox/index.html"):
        (here / name).parent.mkdir(exist_ok=True)
        (here / name).touch()
    subprocess.run(["git", "init", "-q", here], check=True)

    found = subprocess.run(
        ["git", "-C", here, "status", "--short", "-uall"], capture_output=True, text=True, check=True
    )

    assert set(found.stdout.split()) - {"??"} == {".gitignore", "bot.toml", "queue/example-item.md"}


def test_init_adds_no_item_to_a_queue_that_has_some(tmp_path: Path) -> None:
    """Also with --sample: somebody's stories are never mixed with ours."""
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "ours.md").write_text("---\n---\n")

    bot("init", "--sample", tmp_path)

    assert [path.name for path in (tmp_path / "queue").iterdir()] == ["ours.md"]


# --------------------------------------------------------------------------- samples never reach a reader


def shipped_files() -> list[Path]:
    return [*sorted(shipped("queue").glob("*.md")), *(STARTER / "queue").glob("*.md")]


def test_no_shipped_sample_goes_out_live_under_any_name(here: Path) -> None:
    """check, doctor and run stop each of the 26 by its words, renamed and with its status changed."""
    go_live(here)
    for number, file in enumerate(shipped_files()):
        text = file.read_text().replace("status: draft", "status: approved")
        (here / "queue" / f"our-story-{number}.md").write_text(text)
    shutil.copytree(shipped("queue") / "images", here / "queue" / "images")
    (here / "queue" / "example-item.md").unlink()

    checked, ran = bot("check", workspace=here), bot("run", "--once", "--dry-run", workspace=here)
    examined = bot("doctor", "--offline", workspace=here)

    assert checked.code == 4
    assert checked.out.count("is a sample item") == len(shipped_files()) == 26
    assert examined.code == 1
    assert "26 approved items are samples" in examined.out
    assert "sent" not in ran.out


def test_a_sample_with_a_new_headline_is_still_one(here: Path) -> None:
    """Its text or its summary alone tells it."""
    go_live(here)
    text = (STARTER / "queue" / "example-item.md").read_text().replace("status: draft", "status: approved")
    (here / "queue" / "example-item.md").write_text(
        text.replace("The headline, as you would say it", "Real news")
    )

    assert "example-item.md" in bot("check", workspace=here).out


def test_a_sample_cannot_be_approved_live(here: Path) -> None:
    """The answer says what it is and what to do."""
    go_live(here)

    ran = bot("approve", "example-item", workspace=here)

    assert ran.code == 4
    assert "is a sample item that comes with the program, not a story of yours; delete the file" in ran.err


def test_samples_rehearse(tmp_path: Path) -> None:
    """What ``make demo`` shows goes on working."""
    bot("init", "--sample", tmp_path)

    ran = bot("check", workspace=tmp_path)

    assert "sample item" not in ran.out


# --------------------------------------------------------------------------- templates


def test_the_shipped_templates_serve_until_one_is_copied(here: Path) -> None:
    """A copy stands in the workspace and wins; doctor names what was changed."""
    assert "the shipped ones" in bot("doctor", "--offline", workspace=here).out

    copied = bot("templates", "copy", "email/issue.txt", workspace=here)
    (here / "templates/email/issue.txt").write_text("Ours\n")

    assert copied.code == 0
    assert "Templates of your own: email/issue.txt" in bot("doctor", "--offline", workspace=here).out
    assert "+Ours" in bot("templates", "diff", "email/issue.txt", workspace=here).out


def test_copying_never_overwrites_what_is_there(here: Path) -> None:
    """A folder may be named; what is changed already stays."""
    bot("templates", "copy", "email/issue.txt", workspace=here)
    (here / "templates/email/issue.txt").write_text("Ours\n")

    bot("templates", "copy", "email", workspace=here)

    assert (here / "templates/email/issue.txt").read_text() == "Ours\n"
    assert (here / "templates/email/issue.mjml").is_file()


def test_a_shipped_template_that_changed_since_the_copy_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After an upgrade, doctor says which copy is behind, and how to see the difference."""
    bot("templates", "copy", "email/issue.txt", workspace=here)
    with (here / "templates/email/issue.txt").open("a") as file:
        file.write("Our own last line.\n")
    newer = tmp_path / "newer"
    shutil.copytree(shipped("templates"), newer)
    with (newer / "email/issue.txt").open("a") as file:
        file.write("{# better #}\n")
    monkeypatch.setattr(
        "bot.app.own_templates.shipped", lambda name: newer if name == "templates" else shipped(name)
    )

    ran = bot("doctor", "--offline", workspace=here)

    assert "the shipped template changed since you copied it: email/issue.txt" in ran.out
    assert "bot templates diff email/issue.txt" in ran.out


def test_a_workspace_with_all_templates_copied_is_recognised(here: Path) -> None:
    """Those made before the first release have copies that hide improvements: one command removes them."""
    for file in shipped("templates").rglob("*"):
        if file.is_file():
            target = here / "templates" / file.relative_to(shipped("templates"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    (here / "templates/email/issue.txt").write_text("Ours\n")

    told = bot("doctor", "--offline", workspace=here).out
    bot("templates", "remove-copies", workspace=here)

    assert "39 files in templates/ are unchanged copies" in told
    assert "bot templates remove-copies" in told
    left = [path for path in (here / "templates").rglob("*") if path.is_file()]
    assert left == [here / "templates/email/issue.txt"]


def test_a_template_name_with_a_slip_is_answered_with_the_near_one(here: Path) -> None:
    """Nothing is copied."""
    ran = bot("templates", "copy", "email/isue.txt", workspace=here)

    assert ran.code == 3
    assert "did you mean 'email/issue.txt'?" in ran.err
    assert not (here / "templates").exists()


# --------------------------------------------------------------------------- the command itself


def test_help_groups_the_commands_by_what_one_wants_to_do() -> None:
    """And names each of them once."""
    lines = bot("--help").out.splitlines()

    titles = ["Every day:", "Readers:", "Channels and mail:", "Running:", "Moving:"]
    assert [line for line in lines if line in titles] == titles
    named = [line.split()[0] for line in lines if line.startswith("  ") and line[2:3].isalpha()]
    assert {name for name in COMMANDS if named.count(name) == 1} == set(COMMANDS)


def test_a_preview_without_a_screen_prints_its_path_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No browser of the terminal takes it over, and no error of another program is shown."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    bot("init", "--sample", tmp_path)

    ran = bot("preview", "--open", workspace=tmp_path)

    assert ran.out.rstrip().endswith("outbox/preview/index.html")
    assert (ran.code, ran.err, capfd.readouterr().err) == (0, "", "")
