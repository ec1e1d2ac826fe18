"""A mail that cannot be judged gets one try: it is set aside, told, and stops none of the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app import judging_once
from bot.app.bounces import Readings, read_bounces
from bot.app.judging_once import MARK, OneTry
from bot.app.workspace import Workspace
from bot.audience.bounces import Verdict, understand
from bot.audience.bounces.boxes import SET_ASIDE, Maildir, Pipe, make_maildir
from bot.audience.bounces.opened import LARGEST
from tests.support.bounces import dsn, plain
from tests.support.live_workspace import NOW, mail_only

POISON = b"Subject: poison\n\npoison"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(mail_only(tmp_path / "here", 25, readers=1))
    yield workspace
    workspace.release()


@pytest.fixture
def box(tmp_path: Path) -> Path:
    folder = tmp_path / "bounced"
    make_maildir(folder)
    (folder / "new" / "1").write_bytes(dsn(recipient="stranger@example.net"))
    (folder / "new" / "2").write_bytes(POISON)
    (folder / "new" / "3").write_bytes(dsn(recipient="another@example.net"))
    return folder


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """One mail raises, as no mail that we know does."""
    seen: list[bytes] = []

    def raising(raw: bytes) -> tuple[Verdict, ...]:
        seen.append(raw)
        if raw == POISON:
            raise MemoryError
        return understand(raw)

    monkeypatch.setattr(judging_once, "understand", raising)
    return seen


def read(here: Workspace, box: Path, *, dry_run: bool = False) -> Readings:
    return read_bounces(here, Maildir(box), now=NOW + timedelta(days=1), dry_run=dry_run)


def aside(box: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((box / f".{SET_ASIDE}").glob("*/*"))]


def test_a_mail_that_raises_is_set_aside_and_the_others_are_read(
    here: Workspace, box: Path, tries: list[bytes]
) -> None:
    found = read(here, box)

    assert (found.mails, found.set_aside, found.strangers) == (3, 1, 2)
    assert aside(box) == [POISON]
    assert not list((box / "new").iterdir())


def test_it_is_tried_once_and_told_until_somebody_looked(
    here: Workspace, box: Path, tries: list[bytes]
) -> None:
    read(here, box)
    again = read(here, box)

    assert tries.count(POISON) == 1
    assert any("cannot be judged: 1 in the folder SetAside" in each for each in again.problems)
    next((box / f".{SET_ASIDE}" / "cur").iterdir()).unlink()
    assert not any("cannot be judged" in each for each in read(here, box).problems)


def test_a_dry_run_says_it_and_moves_nothing(here: Workspace, box: Path, tries: list[bytes]) -> None:
    found = read(here, box, dry_run=True)

    assert found.set_aside == 1
    assert any("cannot be judged: 1" in each for each in found.problems)
    assert (box / "new" / "2").exists()
    assert not list(here.state_folder.glob(f"{MARK}*"))


def test_a_mail_that_takes_too_long_is_set_aside(
    here: Workspace, box: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging_once, "TOO_LONG", 0.0)

    assert read(here, box).set_aside == 3


def test_a_mail_that_ended_the_process_is_not_read_again(tmp_path: Path) -> None:
    """SIGKILL while it is judged: the next process knows which one it was, and reads only the others."""
    child = (
        "import os, signal, sys; from pathlib import Path; from bot.app import judging_once\n"
        "judging_once.understand = lambda raw: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"judging_once.OneTry(Path(sys.argv[1]), leaves_mark=True).verdicts({POISON!r})\n"
    )
    ended = subprocess.run([sys.executable, "-c", child, str(tmp_path)], check=False)

    one_try = OneTry(tmp_path, leaves_mark=True)

    assert ended.returncode == -signal.SIGKILL
    assert one_try.verdicts(POISON) is None
    assert one_try.verdicts(dsn()) is not None
    one_try.forget_old_marks()
    assert not list(tmp_path.iterdir())


def test_a_mail_that_another_process_is_judging_is_no_deadly_one(tmp_path: Path) -> None:
    (tmp_path / f"{MARK}.{os.getppid()}").write_text("0" * 64)

    one_try = OneTry(tmp_path, leaves_mark=True)
    one_try.forget_old_marks()

    assert (tmp_path / f"{MARK}.{os.getppid()}").exists()


def test_a_mail_of_a_pipe_is_kept_whole_and_apart(
    here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little of it was read."""
    monkeypatch.setattr(judging_once, "TOO_LONG", -1.0)
    raw, keep = plain("x" * (LARGEST + 10)), tmp_path / "kept"

    found = read_bounces(here, Pipe(raw, keep), now=NOW)

    assert found.set_aside == 1
    assert aside(keep) == [raw]
