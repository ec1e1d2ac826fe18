"""The whole queue: bad files never stop the good ones, and the cache only saves time."""

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from bot.errors import QueueError
from bot.reader import Queue, read_queue
from bot.reader import cache as cache_module

LONG_AGO = 1_700_000_000_000_000_000


@pytest.fixture
def folder(tmp_path):
    """An empty queue folder."""
    path = tmp_path / "queue"
    path.mkdir()
    return path


@pytest.fixture
def cache(tmp_path):
    """Where the cache goes."""
    return tmp_path / "state" / "items.cache"


def put(folder: Path, name: str, title: str = "T", *, mtime: int = LONG_AGO, extra: str = "") -> Path:
    """An item file that was saved long ago."""
    path = folder / f"{name}.md"
    path.write_text(
        f"---\ntitle: {title}\nurl: https://example.org/\nsource: S\npublished: 2026-05-04\n{extra}---\n"
        "\nBody é.\n"
    )
    os.utime(path, ns=(mtime, mtime))
    return path


def fill(folder: Path) -> None:
    """A full item, a short one and a bad one."""
    put(
        folder,
        "b-full",
        extra="tags: [x]\nstatus: approved\nnot_before: 2026-06-01T09:00+07:00\nexpires: 2026-07-01\n"
        "further_reading: [{title: Book, author: A}]\nalso_reported_by: [AP]\napproved_by: [Ana]\n",
    )
    put(folder, "a-short")
    put(folder, "c-bad", title="Police: 12 freed")


def tree(root: Path) -> str:
    """A digest of every file below, with its name and its bytes."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def complaints(queue: Queue) -> list[str]:
    """The errors as people see them."""
    return [str(error) for error in queue.errors]


def test_bad_files_do_not_stop_the_good_ones(folder):
    """Items come sorted by id, and each bad file is told."""
    fill(folder)
    (folder / "d-bytes.md").write_bytes(b"\xff\xfe\x00")
    (folder / "e-folder.md").mkdir()
    (folder / "f-link.md").symlink_to("nowhere")
    os.mkfifo(folder / "g-pipe.md")

    queue = read_queue(folder)

    assert [item.id for item in queue.items] == ["a-short", "b-full"]
    assert [error.path.stem for error in queue.errors] == ["c-bad", "d-bytes", "e-folder", "f-link", "g-pipe"]


def test_other_files_are_no_items(folder):
    """Hidden files, other endings and folders below are left alone; upper case is not."""
    fill(folder)
    for name in (".hidden.md", "notes.txt", "story.md~", "story.md.tmp"):
        (folder / name).write_text("x")
    (folder / "images").mkdir()
    put(folder / "images", "picture")
    put(folder, "z").rename(folder / "z.MD")

    assert [item.id for item in read_queue(folder).items] == ["a-short", "b-full", "z"]


def test_two_files_with_one_id_are_told(folder):
    """The id is for ever: two spellings of one name would be one item on another system."""
    put(folder, "caf\u00e9")
    put(folder, "cafe\u0301")

    queue = read_queue(folder)

    assert len(queue.items) == len(queue.errors) == 1
    assert "has the same id as" in str(queue.errors[0])


def test_names_that_cannot_be_shown_are_told(folder):
    """A name in another encoding or with a line break is one line of complaint; with a cache, too."""
    good = put(folder, "good").read_bytes()
    for name in (b"caf\xe9.md", b"two\nlines.md", "bidi\u202e.md".encode()):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(good)

    queue = read_queue(folder, cache=folder.parent / "cache")

    assert len(queue.items) == 1
    assert len(queue.errors) == 3
    for complaint in complaints(queue):
        assert "the file name holds" in complaint
        assert complaint.isprintable()


def test_no_folder_is_an_error(tmp_path):
    """An empty queue and a missing one are not the same."""
    with pytest.raises(QueueError, match="make the folder"):
        read_queue(tmp_path / "queue")


# --------------------------------------------------------------------------- the cache


def test_the_cache_changes_nothing_but_time(folder, cache):
    """The same items and the same complaints: without it, filling it, and from it."""
    fill(folder)

    plain, cold, warm = read_queue(folder), read_queue(folder, cache=cache), read_queue(folder, cache=cache)

    assert plain.items == cold.items == warm.items
    assert complaints(plain) == complaints(cold) == complaints(warm)


def test_unchanged_files_are_not_opened(folder, cache):
    """Proven with a file whose bytes changed behind the back of every stamp that we may set."""
    path = put(folder, "a", title="OLD")
    read_queue(folder, cache=cache)
    put(folder, "a", title="NEW")
    with sqlite3.connect(cache) as database:
        database.execute("update queue_seen set ctime = ?", (path.stat().st_ctime_ns,))
    database.close()

    assert read_queue(folder, cache=cache).items[0].title == "OLD"


@pytest.mark.parametrize("mtime", [LONG_AGO, LONG_AGO + 1])
def test_a_changed_file_is_read_again(folder, cache, mtime):
    """Even when size and time of change are set back to what they were."""
    put(folder, "a", title="OLD")
    read_queue(folder, cache=cache)
    (folder / "a.md").unlink()
    put(folder, "other")
    put(folder, "a", title="NEW", mtime=mtime)

    assert read_queue(folder, cache=cache).items[0].title == "NEW"


def test_a_mended_file_is_good_at_once(folder, cache):
    """An error is remembered only as long as the file is the same."""
    fill(folder)
    read_queue(folder, cache=cache)
    put(folder, "c-bad", title="Mended")

    assert read_queue(folder, cache=cache).errors == ()


def test_a_file_saved_this_moment_is_not_remembered(folder, cache):
    """It may change again before the file system's clock ticks."""
    put(folder, "a", mtime=2**62)

    read_queue(folder, cache=cache)

    with sqlite3.connect(cache) as database:
        assert database.execute("select count(*) from queue_seen").fetchone() == (0,)
    database.close()


def test_deleted_files_are_forgotten(folder, cache):
    """The cache does not grow for ever."""
    fill(folder)
    read_queue(folder, cache=cache)
    (folder / "a-short.md").unlink()

    queue = read_queue(folder, cache=cache)

    with sqlite3.connect(cache) as database:
        assert database.execute("select name from queue_seen order by name").fetchall() == [
            ("b-full.md",),
            ("c-bad.md",),
        ]
    database.close()
    assert [item.id for item in queue.items] == ["b-full"]


@pytest.mark.parametrize("warm", [True, False])
def test_a_dry_run_writes_nothing(folder, cache, warm):
    """Neither the cache nor anything beside it, and an existing cache is still used."""
    fill(folder)
    if warm:
        read_queue(folder, cache=cache)
        put(folder, "new")
    before = tree(folder.parent)

    queue = read_queue(folder, cache=cache, cache_readonly=True)

    assert len(queue.items) == 2 + warm
    assert tree(folder.parent) == before


def garbage(cache: Path) -> None:
    cache.write_bytes(b"not a database, but long enough to look like a file of some kind" * 10)


def cut(cache: Path) -> None:
    cache.write_bytes(cache.read_bytes()[:5000])


def scribbled(cache: Path) -> None:
    data = cache.read_bytes()
    place = data.index(b"https://example.org/")
    cache.write_bytes(data[:place] + b"https://exampIe.org/" + data[place + 20 :])


def empty(cache: Path) -> None:
    cache.write_bytes(b"")


def older(cache: Path) -> None:
    database = sqlite3.connect(cache)
    with database:
        database.executescript(
            "drop table queue_seen; create table queue_seen (x); update queue_meta set version = 'old';"
        )
    database.close()


def foreign(cache: Path) -> None:
    cache.unlink()
    database = sqlite3.connect(cache)
    with database:
        database.execute("create table queue_meta (something)")
    database.close()


def a_folder(cache: Path) -> None:
    cache.unlink()
    cache.mkdir()


@pytest.mark.parametrize("harm", [garbage, cut, scribbled, empty, older, foreign, a_folder])
def test_a_damaged_cache_is_rebuilt_in_silence(folder, cache, harm):
    """Nobody should ever have to know that there is one."""
    fill(folder)
    expected = read_queue(folder, cache=cache)
    harm(cache)

    first, second = read_queue(folder, cache=cache), read_queue(folder, cache=cache)

    assert first.items == second.items == expected.items
    assert complaints(first) == complaints(second) == complaints(expected)
    if harm is not a_folder:
        assert cache_module.Cache(cache, folder, readonly=True).outcomes(_stamps(folder))


def _stamps(folder: Path) -> dict[str, cache_module.Stamp]:
    return {path.name: cache_module.stamp_of(path.stat()) for path in folder.glob("*.md")}


def test_a_cache_of_another_folder_is_not_used(folder, cache, tmp_path):
    """A copied workspace has other paths."""
    fill(folder)
    read_queue(folder, cache=cache)
    moved = folder.rename(tmp_path / "moved")

    assert all(item.path.parent == moved for item in read_queue(moved, cache=cache).items)


def test_a_cache_that_another_run_holds_is_left_alone(folder, cache):
    """Reading goes on without it."""
    fill(folder)
    read_queue(folder, cache=cache)
    put(folder, "new")
    other = sqlite3.connect(cache, isolation_level=None)
    other.execute("begin exclusive")

    queue = read_queue(folder, cache=cache)

    other.close()
    assert len(queue.items) == 3
