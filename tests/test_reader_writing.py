"""Writing items: fresh files, careful changes, whole files or none, and names."""

import os
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import QueueError
from bot.files import write_atomically
from bot.model import Credit, Item, Reading, Status
from bot.reader import item_id, item_text, parse_item, read_item, set_fields
from bot.reader.characters import is_clean_name
from bot.reader.editing import _set
from bot.reader.frontmatter import split

PATH = Path("queue/story.md")

HAND_WRITTEN = """---
# Ana: please check the date!
title:   'Ports'   # as on the page
url: https://example.org/
source: "BBC"

published: 2026-05-04
tags:
  - one

  - two
# about the picture
summary: >-
  First line
  and second.

alt:
approved_by: [Ana]  # by mail
priority: 0
---

Body with  trailing blanks   \n---\nstatus: not a field\n"""


# --------------------------------------------------------------------------- fresh files

WORDS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Cn"), blacklist_characters="\u2028\u2029\ufeff"),
    max_size=30,
).filter(is_clean_name)
LINE = WORDS.map(str.strip)
TRICKY = st.sampled_from(
    ["NO", "null", "~", "1.10", "a: b", "a #b", "- x", "*x", '"', "'", "\\", "[a]", "---", "é"]
)
NAME = st.one_of(TRICKY, LINE.filter(bool))
URL = st.sampled_from(["https://example.org/", "http://a.org:80/x?y=z&w=1#f", "https://a.org/é,b'c"])
DAY = st.dates(min_value=date(1000, 1, 1))
MOMENT = st.one_of(
    st.none(),
    DAY,
    st.datetimes(
        min_value=datetime(1000, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
        timezones=st.sampled_from(
            [UTC, timezone(timedelta(hours=7)), timezone(timedelta(hours=-3, minutes=-30))]
        ),
    ),
)
ITEMS = st.builds(
    Item,
    id=st.just("story"),
    path=st.just(PATH),
    title=NAME,
    url=URL,
    source=NAME,
    published=DAY,
    region=st.one_of(TRICKY, LINE),
    tags=st.lists(NAME, unique=True, max_size=3).map(tuple),
    lang=st.sampled_from(["en", "no", "pt-BR"]),
    summary=st.lists(LINE, max_size=3).map(lambda lines: "\n".join(lines).strip()),
    further_reading=st.lists(
        st.builds(Reading, title=NAME, author=LINE, url=st.one_of(st.just(""), URL)), max_size=2
    ).map(tuple),
    content_warning=LINE,
    image=st.sampled_from(["", "images/a b.png"]),
    alt=LINE,
    status=st.sampled_from(Status),
    channels=st.lists(NAME, unique=True, max_size=2).map(tuple),
    not_before=MOMENT,
    expires=MOMENT,
    priority=st.integers(-999, 999),
    also_reported_by=st.lists(
        st.builds(Credit, source=NAME, url=st.one_of(st.just(""), URL)), max_size=2
    ).map(tuple),
    added_by=LINE,
    approved_by=st.lists(NAME, unique=True, max_size=2).map(tuple),
    body=st.lists(st.one_of(LINE, TRICKY), max_size=4).map(lambda lines: "\n".join(lines).strip()),
)


@given(ITEMS)
def test_a_written_item_reads_back_the_same(item):
    """Every text, however odd, survives the way to the file and back."""
    assert parse_item(item_text(item), PATH) == item


@given(ITEMS)
def test_other_programs_read_the_same_title(item):
    """The quoting holds for YAML as it is, not only for our reader."""
    front = yaml.safe_load(split(item_text(item)).block)

    assert front["title"] == item.title
    assert tuple(front.get("tags", ())) == item.tags


def test_a_fresh_file_is_plain_to_look_at():
    """Keys in their usual order, defaults left out, quotation marks only where they are needed."""
    item = Item(
        id="story",
        path=PATH,
        title="Police: 12 freed",
        url="https://example.org/a",
        source="BBC",
        published=date(2026, 5, 4),
        further_reading=(Reading(title="A book", author="O'Hara"),),
        added_by="Ana",
        body="Text.",
    )

    assert item_text(item) == (
        '---\ntitle: "Police: 12 freed"\nurl: https://example.org/a\nsource: BBC\n'
        "published: 2026-05-04\nlang: en\n"
        'further_reading:\n  - {title: A book, author: "O\'Hara"}\n'
        "status: draft\nadded_by: Ana\n---\n\nText.\n"
    )


# --------------------------------------------------------------------------- changes in place


def written(tmp_path: Path, text: str = HAND_WRITTEN) -> Path:
    """A file as a person left it."""
    path = tmp_path / "story.md"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("changes", "old", "new"),
    [
        ({"title": "NO: way"}, "title:   'Ports'   # as", 'title:   "NO: way"   # as'),
        ({"priority": 5}, "priority: 0", "priority: 5"),
        ({"alt": "A ship"}, "alt:\n", "alt: A ship\n"),
        ({"approved_by": ["Ana", "Ben"]}, "[Ana]  # by mail", "[Ana, Ben]  # by mail"),
        ({"approved_by": []}, "[Ana]  # by mail", "[]  # by mail"),
        ({"tags": ("x", "1.10")}, "tags:\n  - one\n\n  - two\n", 'tags: [x, "1.10"]\n'),
        ({"summary": "Short."}, "summary: >-\n  First line\n  and second.\n", "summary: Short.\n"),
        ({"summary": None}, "summary: >-\n  First line\n  and second.\n", "summary: null\n"),
        ({"published": date(2026, 1, 2)}, "published: 2026-05-04", "published: 2026-01-02"),
        ({"status": Status.APPROVED}, "priority: 0\n---", "priority: 0\nstatus: approved\n---"),
        (
            {"not_before": datetime(2026, 6, 1, 9, tzinfo=UTC), "added_by": "Zoë"},
            "priority: 0\n---",
            'priority: 0\nnot_before: 2026-06-01T09:00:00+00:00\nadded_by: "Zoë"\n---',
        ),
        ({"region": None}, "", ""),
    ],
)
@pytest.mark.parametrize("style", ["unix", "windows", "bom"])
def test_a_change_touches_nothing_else(tmp_path, changes, old, new, style):
    """Comments, order, blank lines, line ends, byte order mark and body stay to the byte."""
    assert old in HAND_WRITTEN
    dress = {
        "unix": lambda text: text,
        "windows": lambda text: text.replace("\n", "\r\n"),
        "bom": lambda text: "\ufeff" + text,
    }[style]
    path = written(tmp_path, dress(HAND_WRITTEN))

    set_fields(path, **changes)

    assert path.read_bytes().decode() == dress(HAND_WRITTEN.replace(old, new, 1))


def test_indented_front_matter_gets_an_indented_key(tmp_path):
    """A person may indent every key."""
    path = written(
        tmp_path, "---\n  title: T\n  url: https://e.org\n  source: S\n  published: 2026-05-04\n---\n"
    )

    set_fields(path, status="approved")

    assert "  published: 2026-05-04\n  status: approved\n---" in path.read_text()


BASE = "title: T\nurl: https://e.org\nsource: S\npublished: 2026-05-04\n"


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        (
            "---\n{title: T, url: 'https://e.org', source: S, published: 2026-05-04}\n---\n",
            {"lang": "es"},
            "braces",
        ),
        (f"---\n{BASE}tags:\n  - a  # why\n---\n", {"tags": ["b"]}, "comment"),
        (f"---\n{BASE}tags: [a, # why\n  b]\n---\n", {"tags": ["b"]}, "comment"),
        (f"---\n{BASE}---\n", {"nonsense": 1}, "no key 'nonsense'"),
        (f"---\n{BASE}---\n", {"status": "aproved"}, "unknown status"),
        (f"---\n{BASE}---\n", {"url": "javascript:x"}, "must begin with https"),
        (f"---\n{BASE}---\n", {"title": "  T  "}, "without harm to title"),
        (f"---\n{BASE}---\n", {"title": None}, "title must be given"),
        ("no front matter", {"status": "held"}, "must start with front matter"),
    ],
)
def test_an_unsafe_change_is_refused(tmp_path, text, changes, words):
    """The file stays as it was, and nothing is left beside it."""
    path = written(tmp_path, text)

    with pytest.raises(QueueError, match=re.escape(words)):
        set_fields(path, **changes)

    assert path.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["story.md"]


KEYS = st.sampled_from(["region", "alt", "summary", "added_by"])
COMMENT = st.sampled_from(["", "\n", "# note: x\n", " # one blank\n"])
VALUE = st.sampled_from(
    [
        "",
        " null",
        " plain",
        " 'quoted'  # why",
        ' "double"',
        " >-\n  folded\n  text",
        " |+\n  kept\n\n",
        " two\n  lines",
    ]
)


@given(
    st.lists(st.tuples(KEYS, VALUE, COMMENT), unique_by=lambda entry: entry[0]),
    st.one_of(KEYS, st.sampled_from(["status", "content_warning"])),
    st.sampled_from(["\n", "\r\n"]),
    st.text(max_size=20),
)
def test_lines_of_other_keys_never_change(entries, key, ending, body):
    """Whatever stands around it, a change alters the lines of its own key, or adds one at the end."""
    block = BASE + "".join(f"{name}:{value}\n{comment}" for name, value, comment in entries)
    text = f"---\n{block}---\n".replace("\n", ending) + body
    own = next((value for name, value, _ in entries if name == key), None)

    changed = _set(text, key, "approved")

    after = split(changed)
    assert after.body == body
    assert changed.count("approved") == text.count("approved") + 1
    own_lines = f"{key}:{own}\n".replace("\n", ending) if own is not None else ""
    before_own, _, behind_own = split(text).block.partition(own_lines) if own_lines else (block, "", "")
    assert after.block.startswith(before_own.replace("\r\n", "\n").replace("\n", ending))
    assert after.block.endswith(behind_own.lstrip("\r\n") if own_lines else f"{key}: approved{ending}")


# --------------------------------------------------------------------------- whole files or none


def test_a_replaced_file_keeps_its_mode_and_its_link(tmp_path):
    """What stands at the path is replaced where it really is."""
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)

    write_atomically(link, b"new")

    assert (real.read_text(), real.stat().st_mode & 0o777, link.is_symlink()) == ("new", 0o640, True)


def test_a_new_file_has_the_usual_mode(tmp_path):
    """As if the person had saved it, with their umask."""
    mask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "new.md", b"x")
    finally:
        os.umask(mask)

    assert (tmp_path / "new.md").stat().st_mode & 0o777 == 0o640


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """And no half of a new one."""
    folder = tmp_path / "story.md"
    folder.mkdir()

    with pytest.raises(OSError, match="directory"):
        write_atomically(folder, b"x")

    assert [entry.name for entry in tmp_path.iterdir()] == ["story.md"]


# --------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Police: 12 freed!", "police-12-freed"),
        ("São Paulo, Hà Nội & Zürich", "sao-paulo-ha-noi-zurich"),
        ("Łódź – Straße Ærø ﬁn", "lodz-strasse-aero-fin"),
        ("Côte d’Ivoire", "cote-divoire"),
        ("พระราชบัญญัติค้ามนุษย์", "พระราชบัญญัติค้ามนุษย์"),
        ("اليوم العالمي", "اليوم-العالمي"),
        ("../../etc/passwd", "etc-passwd"),
        ("CON", "item-con"),
        ("💙🕯️ !!!", "item"),
        ("", "item"),
    ],
)
def test_names_come_from_titles(title, name):
    """Latin letters without accents, other scripts as they are."""
    assert item_id(title, ()) == name


def test_taken_names_are_numbered():
    """Two files never differ in case or spelling alone."""
    assert item_id("Ports", ["PORTS", "ports-2"]) == "ports-3"
    assert item_id("ไทยน้ำ", [unicodedata.normalize("NFD", "ไทยน้ำ")]).endswith("-2")


def test_long_titles_are_cut_between_words():
    """And never inside a character."""
    assert item_id("word " * 40, ()) == "-".join(["word"] * 12)
    assert len(item_id("ก่" * 100, ())) in (59, 60)


@given(st.text())
def test_names_are_safe_everywhere(title):
    """On Linux, macOS and Windows, the same for both spellings, and never a name that exists."""
    name = item_id(title, ())

    assert name == item_id(unicodedata.normalize("NFD", title), ()) == unicodedata.normalize("NFC", name)
    assert re.fullmatch(r"[^\s/\\:*?\"<>|.\x00-\x1f]+", name)
    assert 0 < len(name.encode()) <= 245
    assert item_id(title, [name]) != name


def test_approving_reads_back(tmp_path):
    """The everyday case."""
    path = written(tmp_path)

    set_fields(path, status="approved", approved_by="Ana")

    assert (read_item(path).status, read_item(path).approved_by) == (Status.APPROVED, ("Ana",))
