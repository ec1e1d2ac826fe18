"""Attacks with files: links out of a folder, folders that stand open, pictures that claim to be huge."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import httpx
import pytest

from bot.app.workspace import Workspace
from bot.checks import check_item
from bot.errors import QueueError, UserError
from bot.files import is_file_inside, make_private_folder
from bot.metadata import MAX_PIXELS, size_in_pixels
from bot.model import Item, Level
from bot.rendering.pictures import read_picture
from bot.rendering.templates import Templates
from tests.support.commands import FRIDAY, MONDAY, bot
from tests.support.site import make_site, served

SECRET = "BOT_SECRET_KEY=4f6d2f0d1c0f4a6e9b7c8d5e3a2b1c0d"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    make_site(folder, mode="rehearsal")
    (folder / ".env").write_text(SECRET)
    return folder


def link_to_env(here: Path, name: str) -> Path:
    """``templates/NAME``, a link that leads to ``.env``."""
    link = here / "templates" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(here / ".env")
    return link


# --------------------------------------------------------------------------- links out of templates/


def test_a_symlink_in_static_never_serves_the_env_file(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever may lay a file into templates/ cannot publish the secrets; the log says which link it was."""
    link = link_to_env(here, "web/static/notes.txt")

    with served(here) as site:
        answer = httpx.get(f"{site.url}/static/notes.txt")

    assert answer.status_code == 404
    assert SECRET not in answer.text
    assert f"{link}: leads to a file outside" in caplog.text


def test_a_symlink_in_static_is_never_copied_by_build(here: Path, tmp_path: Path) -> None:
    """The build stops and names the link; nothing of the secret file is in the folder."""
    link = link_to_env(here, "web/static/notes.txt")

    done = bot("build", "--to", tmp_path / "out", workspace=here)

    assert done.code == 3
    assert f"{link}: leads to a file outside" in done.err
    assert not (tmp_path / "out").exists()


def test_a_symlinked_folder_in_templates_is_refused_as_well(here: Path, tmp_path: Path) -> None:
    """The link may stand anywhere on the way."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "notes.txt").write_text(SECRET)
    (here / "templates" / "web").mkdir(parents=True)
    (here / "templates" / "web" / "static").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UserError, match="leads to a file outside"):
        Templates([here / "templates"]).path("web/static/notes.txt")


def test_an_include_of_a_symlink_never_prints_the_env_file(here: Path) -> None:
    """Jinja's include, import and extends go through the same door."""
    link = link_to_env(here, "email/notes.txt")
    (here / "templates" / "email" / "page.txt").write_text("{% include 'email/notes.txt' %}")

    with pytest.raises(UserError, match="leads to a file outside") as refused:
        Templates([here / "templates"]).render("email/page.txt")

    assert str(link) in str(refused.value)


def test_a_symlinked_file_of_words_is_refused(here: Path) -> None:
    """``templates/strings/en.toml`` is read by every page; a fault in it would quote its line."""
    link_to_env(here, "strings/en.toml")

    with pytest.raises(UserError, match="leads to a file outside"):
        Templates([here / "templates"]).strings("en")


def test_a_symlink_within_templates_and_a_linked_templates_folder_work(tmp_path: Path) -> None:
    """A theme that lies elsewhere as a whole, and one file under two names, harm nobody."""
    theme = tmp_path / "theme"
    theme.mkdir()
    (theme / "a.txt").write_text("words")
    (theme / "b.txt").symlink_to("a.txt")
    (tmp_path / "templates").symlink_to(theme)

    assert Templates([tmp_path / "templates"]).render("b.txt") == "words"


@pytest.mark.parametrize("name", ["circle", "pipe", "folder", "nothing", "nul\0byte"])
def test_a_circle_a_pipe_or_a_folder_is_no_file_inside(tmp_path: Path, name: str) -> None:
    """None of them is opened, and none raises."""
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()

    assert not is_file_inside(tmp_path / name, tmp_path)


# --------------------------------------------------------------------------- folders that stand open


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """The mode of everything in it that others may read, write or enter."""
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {name: mode for name, mode in found.items() if mode & 0o077}


def test_a_local_user_cannot_enter_outbox_and_state_whatever_the_umask(tmp_path: Path) -> None:
    """Rehearsed mails hold links that unsubscribe, and the database holds everybody's address."""
    here = tmp_path / "news"
    with umask(0):
        bot("init", "--sample", here)
        for now in (MONDAY, FRIDAY):
            bot("run", "--once", "--now", now, workspace=here)

    assert list((here / "outbox").rglob("*.eml"))
    assert [stat.S_IMODE((here / name).stat().st_mode) for name in ("outbox", "state")] == [0o700, 0o700]
    assert not {"ledger.sqlite3", "tick.lock", "queue.cache"} & modes(here / "state").keys()


def test_the_log_of_the_database_is_as_private_as_the_database(tmp_path: Path) -> None:
    """SQLite makes -wal and -shm beside it while it is open."""
    with umask(0):
        workspace = Workspace(make_site(tmp_path / "news"))
        workspace.audience.count("weekly")
        files = sorted(path.name for path in workspace.state_folder.glob("ledger.sqlite3*"))

        assert files == ["ledger.sqlite3", "ledger.sqlite3-shm", "ledger.sqlite3-wal"]
        assert modes(workspace.state_folder) == {}
        workspace.release()


def test_folders_that_stood_open_are_closed(tmp_path: Path) -> None:
    """A workspace of an older version."""
    here = make_site(tmp_path / "news")
    (here / "state").mkdir(mode=0o755)
    database = here / "state" / "ledger.sqlite3"
    database.touch(mode=0o644)

    workspace = Workspace(here)
    workspace.audience.count("weekly")
    workspace.release()

    assert modes(here / "state") == {}


def test_doctor_tells_what_others_can_read(here: Path) -> None:
    """A folder may belong to somebody else, and .env is a person's own file."""
    (here / ".env").chmod(0o644)

    assert f"{here / '.env'} can be read by other users" in bot("doctor", "--offline", workspace=here).out


def test_a_private_folder_is_usable_under_a_umask_that_forbids_everything(tmp_path: Path) -> None:
    """Its owner may write into it all the same."""
    with umask(0o777):
        make_private_folder(tmp_path / "state")

    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


# --------------------------------------------------------------------------- pictures that claim to be huge


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def jpeg(width: int, height: int) -> bytes:
    """Behind a segment of metadata and fill bytes, where a hasty reader finds nothing."""
    app1 = b"\xff\xe1\x00\x06Exif"
    return b"\xff\xd8" + app1 + b"\xff\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + bytes(12)


def gif(width: int, height: int) -> bytes:
    """A small screen with a huge picture on it."""
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
        + b","
        + struct.pack("<HHHHB", 0, 0, width, height, 0)
    )


def webp(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size


def webp_lossless(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    return b"RIFF" + struct.pack("<I", 18) + b"WEBPVP8L" + struct.pack("<IBI", 5, 0x2F, bits) + b"\0"


def item_with(picture: Path) -> Item:
    return Item(
        id="story",
        path=picture.parent / "story.md",
        title="T",
        url="https://example.org/story",
        source="S",
        published=date(2026, 5, 4),
        summary="Short.",
        body="Text.",
        image=picture.name,
        alt="A",
    )


@pytest.mark.parametrize(
    "content",
    [png(65_000, 65_000), jpeg(65_000, 65_000), gif(65_000, 65_000), webp(65_000, 65_000)],
    ids=["png", "jpeg", "gif", "webp"],
)
def test_a_picture_that_claims_65000_by_65000_pixels_is_refused(tmp_path: Path, content: bytes) -> None:
    """Sixty bytes that would take 17 GB to show: in the checks, and where the mail is rendered."""
    item = item_with(tmp_path / "bomb.png")
    (tmp_path / "bomb.png").write_bytes(content)

    assert [(f.level, f.rule) for f in check_item(item)] == [(Level.BLOCK, "image.type")]
    with pytest.raises(QueueError, match="claims 65,000 x 65,000 pixels"):
        read_picture(tmp_path / "bomb.png", item=item.path)


@pytest.mark.parametrize("make", [png, jpeg, gif, webp, webp_lossless])
def test_a_photograph_of_a_telephone_is_no_bomb(tmp_path: Path, make: object) -> None:
    """The largest of today's."""
    content = make(8_160, 6_120)  # type: ignore[operator]
    (tmp_path / "photo.png").write_bytes(content)

    assert size_in_pixels(content) == (8_160, 6_120)
    assert MAX_PIXELS >= 8_160 * 6_120
    assert check_item(item_with(tmp_path / "photo.png")) == ()


def test_a_gif_that_is_cut_off_still_tells_its_size() -> None:
    """What was told before the end counts."""
    assert size_in_pixels(gif(65_000, 65_000)[:22]) == (65_000, 65_000)
