"""Reading one item: what is taken as it stands, and what is refused with line and advice."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import QueueError
from bot.model import Credit, Item, Reading, Status
from bot.reader import parse_item, read_item
from bot.reader.flaw import Flaw
from bot.reader.frontmatter import decode, split

BAD_ITEMS = Path(__file__).parent / "data" / "bad_items"
SAMPLES = Path(__file__).parent.parent / "queue"
PATH = Path("queue/story.md")


def item_with(body: str = "Body.", **fields: str | None) -> Item:
    """An item whose front matter holds these raw YAML values beside the required ones."""
    base = {"title": "T", "url": "https://example.org/", "source": "S", "published": "2026-05-04"}
    lines = [f"{key}: {value}\n" for key, value in {**base, **fields}.items() if value is not None]
    return parse_item(f"---\n{''.join(lines)}---\n\n{body}\n", PATH)


def refusal(body: str = "Body.", **fields: str | None) -> QueueError:
    """The error that these values cause."""
    with pytest.raises(QueueError) as caught:
        item_with(body, **fields)
    return caught.value


# --------------------------------------------------------------------------- whole files

OUTCOMES = {
    "bad-01-identifies-a-child.md": None,
    "bad-02-jigsaw-a.md": None,
    "bad-03-jigsaw-b.md": None,
    "bad-04-image-without-alt.md": None,  # readable; the checks block it
    "bad-05-helpline-typed-by-hand.md": None,
    "bad-06-terms.md": None,
    "bad-07-unsafe-url.md": (3, "url must begin with https:// or http://, not 'javascript:'"),
    "bad-08-broken-yaml.md": (2, "a quotation mark is opened here and never closed"),
    "bad-09-markup.md": None,
    "bad-10-future-and-language.md": None,
    "bad-11-bidi-override.md": (2, "U+202E"),
    "bad-12-instructions-inside.md": None,
    "bad-13-shelter-location.md": None,
    "bad-14-duplicate-url.md": None,
    "bad-15-empty.md": (1, "the file is empty"),
}


def test_every_bad_item_is_in_the_table():
    """A new sample needs a verdict."""
    assert {path.name for path in BAD_ITEMS.glob("*.md")} == set(OUTCOMES)


@pytest.mark.parametrize("name", OUTCOMES)
def test_bad_items_have_a_clear_outcome(name):
    """Each is read like any other item, or refused with its line and plain words."""
    path, outcome = BAD_ITEMS / name, OUTCOMES[name]
    if outcome is None:
        assert read_item(path).status is Status.DRAFT
        return

    with pytest.raises(QueueError) as caught:
        read_item(path)

    assert (caught.value.path, caught.value.line) == (path, outcome[0])
    assert outcome[1] in caught.value.problem
    assert caught.value.advice


def test_markup_and_instructions_in_an_item_are_plain_text():
    """Nothing in an item is code, and nothing in it changes its state."""
    markup = read_item(BAD_ITEMS / "bad-09-markup.md")
    orders = read_item(BAD_ITEMS / "bad-12-instructions-inside.md")

    assert markup.title == "<script>alert('x')</script> & <img src=x onerror=alert(1)>"
    assert "{{ config }}" in markup.body
    assert (orders.status, orders.approved_by) == (Status.DRAFT, ())


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.md")), ids=lambda path: path.stem[:30])
def test_sample_items_are_good(path):
    """What ships in queue/ reads without a word, approved by its editor."""
    item = read_item(path)

    assert (item.id, item.status, item.approved_by) == (path.stem, Status.APPROVED, ("sample editor",))


def test_all_keys_become_what_they_mean():
    """One file with every key."""
    item = parse_item(
        "---\n"
        "title: Ports\nurl: https://example.org/a?b=c\nsource: BBC\npublished: 2026-05-04T23:30:00+07:00\n"
        "region: Global\ntags: [a, b]\nlang: pt-BR\nsummary: |\n  One.\n  Two.\n"
        "further_reading:\n  - title: Book\n    author: Someone\n    url: https://example.org/book\n"
        "content_warning: violence\nimage: ./images/a.png\nalt: A picture\nstatus: held\nchannels: weekly\n"
        "not_before: 2026-06-01\nexpires: 2026-07-01 12:00+07:00\npriority: -2\n"
        "also_reported_by: [AP, {source: AFP, url: https://afp.example/x}]\n"
        "added_by: Ana\napproved_by: [Ben]\n"
        "---\n\n\nBody.\n\n---\n\nMore.\n\n",
        PATH,
    )

    assert item == Item(
        id="story",
        path=PATH,
        title="Ports",
        url="https://example.org/a?b=c",
        source="BBC",
        published=date(2026, 5, 4),
        region="Global",
        tags=("a", "b"),
        lang="pt-BR",
        summary="One.\nTwo.",
        further_reading=(Reading(title="Book", author="Someone", url="https://example.org/book"),),
        content_warning="violence",
        image="images/a.png",
        alt="A picture",
        status=Status.HELD,
        channels=("weekly",),
        not_before=date(2026, 6, 1),
        expires=datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=7))),
        priority=-2,
        also_reported_by=(Credit(source="AP"), Credit(source="AFP", url="https://afp.example/x")),
        added_by="Ana",
        approved_by=("Ben",),
        body="Body.\n\n---\n\nMore.",
    )


# --------------------------------------------------------------------------- fences and bytes


def test_mark_and_windows_line_ends_change_nothing(tmp_path):
    """A byte order mark, CRLF and blanks behind a fence come from editors, not from people."""
    path = tmp_path / "story.md"
    lines = [
        "--- ",
        "title: T",
        "url: https://example.org/",
        "source: S",
        "published: 2026-05-04",
        "---",
        "A",
        "B",
    ]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())

    item = read_item(path)

    assert (item.title, item.body) == ("T", "A\nB")


def test_name_is_the_same_however_the_system_spells_it(tmp_path):
    """macOS may give the accent as a character of its own; the id is for ever."""
    text = "---\ntitle: T\nurl: https://e.org\nsource: S\npublished: 2026-05-04\n---\n"

    assert (
        parse_item(text, Path("cafe\u0301.md")).id == parse_item(text, Path("caf\u00e9.md")).id == "caf\u00e9"
    )


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"", 1, "is empty"),
        (b"\xef\xbb\xbf \n", 1, "is empty"),
        (b"Just text\n", 1, "must start with front matter"),
        ("—-\ntitle: T\n---\n".encode(), 1, "some phones turn them into a dash"),
        (b"---\ntitle: T\n", 1, "never closed"),
        (b"---\ntitle: T\n ---\n----\n--- x\n", 1, "never closed"),
        (b"---\n---\n", 1, "title, url, source, published must be given"),
        (b"---\n# only a comment\n---\n", 1, "must be given"),
        (b"---\n- a\n---\n", 2, "must be lines of the form 'key: value'"),
        (b"---\njust words\n---\n", 2, "must be lines of the form 'key: value'"),
        (b"---\ntitle: caf\xe9\n---\n", 2, "is not UTF-8 at byte 14 (0xE9)"),
        ("---\ntitle: T\n---\n".encode("utf-16"), 1, "UTF-16"),
        (b"---\rtitle: T\r---\r", 1, "must start with front matter"),
        (b"---\n---\nx" + b"x" * 1_000_000, 1, "is larger than"),
    ],
)
def test_files_that_are_no_items(tmp_path, data, line, words):
    """Each is told where and why, in one line."""
    path = tmp_path / "story.md"
    path.write_bytes(data)

    with pytest.raises(QueueError) as caught:
        read_item(path)

    assert caught.value.line == line
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_told(tmp_path):
    """Also what is no file at all."""
    (tmp_path / "folder.md").mkdir()

    with pytest.raises(QueueError, match="cannot be read: No such file"):
        read_item(tmp_path / "none.md")
    with pytest.raises(QueueError, match="is not a file"):
        read_item(tmp_path / "folder.md")


# --------------------------------------------------------------------------- strict YAML


@pytest.mark.parametrize(
    "text", ["NO", "yes", "1.10", "010", "12:30", "2026-05-04", "0x10", "1e3", ".5", "=", "<<"]
)
def test_nothing_is_guessed(text):
    """A title stays the text that was written, whatever YAML 1.1 thinks of it."""
    assert item_with(title=text).title == text


def test_norway_has_a_language():
    """``lang: no`` is Norwegian."""
    assert item_with(lang="no").lang == "no"


@pytest.mark.parametrize("text", ["null", "~", "Null", "", '""', "' '"])
def test_required_texts_must_say_something(text):
    """Nothing, null and an empty text are the same."""
    error = refusal(source=text)

    assert (error.line, error.problem) == (4, "source must be given")


def test_quoted_null_is_a_word():
    """Quotation marks make it a text."""
    assert item_with(title='"null"').title == "null"


@pytest.mark.parametrize(
    ("raw", "line", "words"),
    [
        ("Police: twelve freed", 2, "a text with ': ' in it must be quoted"),
        ("@handle", 2, "starts with '@' must be quoted"),
        ("%x", 2, "starts with '%' must be quoted"),
        ("`x`", 2, "starts with '`' must be quoted"),
        ("*bold* words", 2, "starts with '*'"),
        ("*bold", 2, "starts with '*'"),
        ("&amp words", 2, "starts with '&'"),
        ("!!python/object:os.system x", 2, "starts with '!'"),
        ("! x", 2, "starts with '!'"),
        ("Case #12", 2, "everything after '#12' would be lost"),
        ('"never closed', 2, "never closed"),
        ("'it's'", 2, "quotation marks of the other kind"),
        ('"C:\\path"', 2, "backslash"),
        ("[a, b", 2, "is not closed"),
        ("- x", 2, "starts with '- '"),
        ("|x", 2, "must stand alone"),
        ("one\ntwo", 4, "is not of the form 'key: value'"),
        ("one\n\ttwo", 3, "a tab is used to indent"),
        ("one\n...\nmore: x", 4, "begins again"),
        ("one\ntitle: two", 3, "'title' is given twice, first on line 2"),
        ("[a]", 2, "must be a text, not a list"),
        ("{a: b}", 2, "must be a text, not a group"),
        ("|\n  a\n  b", 2, "must be a single line"),
        ('"a\\nb"', 2, "must be a single line"),
    ],
)
def test_yaml_stumbles_are_told_in_plain_words(raw, line, words):
    """With the line in the file, not in the block."""
    error = refusal(title=raw)

    assert error.line == line
    assert words in str(error)


def test_both_parsers_say_the_same(monkeypatch):
    """Where PyYAML comes without its C half, nothing but the time changes."""
    texts = ["Police: x", "@x", "*b* x", "! x", '"never', "'it's'", '"C:\\p"', "[a, b", "- x", "|x", "a\nb"]
    fast = [str(refusal(title=text)) for text in texts]
    monkeypatch.setattr("bot.reader.frontmatter._LOADER", yaml.BaseLoader)

    slow = [str(refusal(title=text)) for text in texts]

    assert slow == fast


def test_comments_are_fine():
    """On their own line, or behind a value with a blank after the sign."""
    assert item_with(title="Case # a note", region="x # y").title == "Case"


def test_nesting_has_an_end():
    """A thousand brackets cost neither time nor the stack."""
    assert "nested too deeply" in refusal(tags="[" * 5000).problem


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("titel", "did you mean 'title'?"),
        ("Region", "did you mean 'region'?"),
        ("approved-by", "did you mean 'approved_by'?"),
        ("headline", "did you mean 'title'?"),
        ("zzz", "use one of: title, url"),
        ("<<", "use one of: title, url"),
    ],
)
def test_unknown_keys_are_refused(key, advice):
    """A mistyped key would silently do nothing."""
    error = refusal(**{key: "x"})

    assert (error.line, error.problem) == (6, f"unknown key '{key}'")
    assert advice in error.advice


# --------------------------------------------------------------------------- characters


@pytest.mark.parametrize(
    "char",
    [
        "\x00",
        "\x07",
        "\x7f",
        "\x85",
        "\x9b",
        "\u202a",
        "\u202e",
        "\ufdd0",
        "\ufdef",
        "\ufffe",
        "\U0010ffff",
        "\r",
    ],
)
def test_harmful_characters_are_refused_everywhere(char):
    """In a title as they are or as an escape, in a list, and in the body with its line."""
    code = f"U+{ord(char):04X}"

    assert code in str(refusal(title=f"a{char}b"))
    assert code in str(refusal(title=f'"a\\U{ord(char):08x}b"'))
    assert code in str(refusal(tags=f'["a\\U{ord(char):08x}b"]'))
    body = refusal(body=f"one\ntwo {char}x")
    assert (body.line, code in body.problem) == (9, True)


def test_marks_that_arabic_and_hebrew_need_are_fine():
    """Isolates, LRM, RLM and ALM; joiners and emoji, too."""
    text = "\u2067abc\u2069 \u200e \u200f \u061c \u200d 👨‍👩‍👧 ﷺ"

    assert item_with(title=text, body=text).title == text


# --------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("31/12/2025", "write 2025-12-31"),
        ("12.31.2025", "write 2025-12-31"),
        ("03/04/2025", "write 2025-04-03 or 2025-03-04, whichever you mean"),
        ("2025-1-2", "write 2025-01-02"),
        ("28.11.2026", "write 2026-11-28"),
        ("30.2.2025", "there is no such day; write year-month-day"),
        ("31/11/2026", "there is no such day; write year-month-day"),
        ("2025-02-30", "is not in the calendar"),
        ("2025", "write year-month-day"),
        ("4 May 2026", "write year-month-day"),
        ("20251231", "write year-month-day"),
        ("2026-05-04T25:00Z", "is not in the calendar"),
        ("٢٠٢٥-١٢-٣١", "write year-month-day"),
    ],
)
def test_dates_are_never_guessed(raw, words):
    """A date that can be read in two ways is refused with both."""
    assert words in str(refusal(published=raw))


@pytest.mark.parametrize(
    "raw", ["2026-05-04", "'2026-05-04'", "2026-05-04T23:59:00-11:00", "2026-05-04 9:00"]
)
def test_published_is_the_day_as_written(raw):
    """A time and its zone do not move the day."""
    assert item_with(published=raw).published == date(2026, 5, 4)


def test_moments_need_a_zone():
    """Without one nobody knows when it is."""
    assert item_with(not_before="2026-05-04T10:00Z").not_before == datetime(2026, 5, 4, 10, tzinfo=UTC)
    assert item_with(expires="2026-05-04").expires == date(2026, 5, 4)
    assert "add one ('2026-05-04T10:00+07:00')" in refusal(not_before="2026-05-04 10:00").advice


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "ftp://example.org/", "example.org", "//example.org/", "https:///path", "https://",
        "https://user:secret@example.org/", "https://example.org@203.0.113.9/", "https://a b.org/", "https://[::1",
        "https://e.org:99999/", "https://e.org\\@f.org/", "https://e.org/<x>", "'https://e.org/\u200e'",
        "mailto:a@b.c", "https://e.org/" + "a" * 2048,
    ],
)  # fmt: skip
def test_addresses_lead_where_they_seem_to(url):
    """Only http and https, with a host and without a user name; in every place for an address."""
    assert refusal(url=url).line == 3
    assert refusal(further_reading=f"\n  - title: x\n    url: {url}").line == 8


@pytest.mark.parametrize(
    "url", ["HTTPS://Example.ORG", "http://a.org:8080/x?y=z#w", "https://fa.org/می\u200cخواهم"]
)
def test_good_addresses_stay_as_written(url):
    """Also those that people copy from a browser's address line."""
    assert item_with(url=url).url == url


@pytest.mark.parametrize(
    "path", ["../x.png", "a/../../x.png", "/etc/passwd", "C:\\x.png", "https://e.org/x.png", "."]
)
def test_pictures_stay_in_the_queue_folder(path):
    """No path leads out of it."""
    assert "inside the queue folder" in refusal(image=path).problem


@pytest.mark.parametrize(
    ("tag", "good"), [("zh-Hant-TW", 1), ("ar-001", 1), ("en_GB", 0), ("english", 0), ("x", 0)]
)
def test_languages_are_codes(tag, good):
    """BCP 47, with advice for the usual slips."""
    if good:
        assert item_with(lang=tag).lang == tag
    else:
        assert "is not a language code" in refusal(lang=tag).problem


def test_lists_take_one_text_or_many():
    """Each name once; empty entries are slips."""
    assert item_with(tags="one").tags == ("one",)
    assert item_with(tags="[1.10, no, no]").tags == ("1.10", "no")
    assert item_with(tags="[]").tags == item_with(tags="null").tags == ()
    assert "has an empty entry" in refusal(tags="[a, ~]").problem


def test_groups_are_read_strictly():
    """A wrong key inside a list is told with its own line."""
    error = refusal(further_reading="\n  - title: a\n    autor: b")

    assert (error.line, error.problem) == (8, "unknown key 'autor' in further_reading")
    assert "without a title" in refusal(further_reading="[{author: b}]").problem
    assert "must be a list of groups" in refusal(further_reading="[a]").problem
    assert "without a source" in refusal(also_reported_by="[{url: 'https://e.org'}]").problem


@pytest.mark.parametrize(("key", "raw"), [("status", "aproved"), ("priority", "high"), ("priority", "1.5")])
def test_states_and_numbers_are_exact(key, raw):
    """With the line and what would be right."""
    error = refusal(**{key: raw})

    assert error.line == 6
    assert error.advice


# --------------------------------------------------------------------------- any text at all

YAMLISH = st.text(alphabet="---\n\r\t :#'\"[]{}&*!|>%@`~?,ab\\\ufeff\u2028é", max_size=80)


def complaint(read: Callable[[], object]) -> QueueError | Flaw | None:
    """What a reading ends with, if not with a value."""
    try:
        read()
    except (QueueError, Flaw) as error:
        return error
    return None


@given(st.one_of(st.text(), YAMLISH, YAMLISH.map(lambda text: f"---\n{text}\n---\n{text}")))
def test_any_text_is_an_item_or_a_queue_error(text):
    """Nothing else comes out, and the error names a line of the file."""
    error = complaint(lambda: parse_item(text, PATH))

    assert error is None or 1 <= error.line <= text.count("\n") + 1


@given(st.binary(max_size=60))
def test_any_bytes_are_a_text_or_a_flaw(data):
    """Whatever a phone or a sync tool leaves in the folder; nothing is replaced in silence."""
    error = complaint(lambda: decode(data))

    assert error or decode(data).encode() == data


@given(YAMLISH, YAMLISH)
def test_splitting_loses_nothing(block, body):
    """The four parts are the text again."""
    text = f"---\n{block}\n---\n{body}"

    parts = split(text)

    assert parts.head + parts.block + parts.fence + parts.body == text


@given(st.lists(st.sampled_from(["NO", "1.10", "'x: y'", '"é"', "2026-01-01"]), max_size=4))
def test_every_entry_of_a_list_arrives(entries):
    """In order, as text, each once."""
    item = item_with(tags=f"[{', '.join(entries)}]")

    assert item.tags == tuple(dict.fromkeys(entry.strip("'\"") for entry in entries))
