"""The checks: what blocks an item, what a person should look at, and what passes."""

from datetime import date
from pathlib import Path

import pytest

from bot.checks import check_item, check_queue
from bot.checks.addresses import same_page, untracked
from bot.model import Item, Level
from bot.reader import read_item, read_queue

BAD_ITEMS = Path(__file__).parent / "data" / "bad_items"
SAMPLES = Path(__file__).parent.parent / "queue"
TODAY = date(2026, 11, 23)
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


def make(folder: Path, **fields: object) -> Item:
    """A good item, but for these fields."""
    base = {
        "id": "story",
        "path": folder / "story.md",
        "title": "T",
        "url": "https://example.org/story",
        "source": "S",
        "published": date(2026, 5, 4),
        "summary": "Short.",
        "body": "Text.",
    }
    return Item(**{**base, **fields})


def rules(item: Item) -> list[tuple[str, Level]]:
    """The rules that have something to say."""
    return [(finding.rule, finding.level) for finding in check_item(item, today=TODAY)]


def test_a_good_item_passes(tmp_path):
    """Without a word."""
    assert rules(make(tmp_path)) == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.md")), ids=lambda path: path.stem[:30])
def test_no_sample_item_is_blocked(path):
    """What ships can go out."""
    assert Level.BLOCK not in [level for _, level in rules(read_item(path))]


@pytest.mark.parametrize(
    ("fields", "rule", "level"),
    [
        ({"summary": ""}, "summary.missing", Level.WARN),
        ({"body": ""}, "body.empty", Level.WARN),
        ({"title": "x" * 121}, "title.long", Level.INFO),
        ({"summary": "x" * 3_001}, "text.long", Level.BLOCK),
        ({"source": "x" * 301}, "text.long", Level.BLOCK),
        ({"published": date(2026, 11, 24)}, "published.future", Level.WARN),
        ({"url": "https://example.org/?utm_source=x"}, "url.tracking", Level.WARN),
        ({"image": "images/none.png", "alt": "A"}, "image.file.missing", Level.BLOCK),
    ],
)
def test_each_rule_speaks_alone(tmp_path, fields, rule, level):
    """One fault, one finding, with the item's path."""
    item = make(tmp_path, **fields)

    assert rules(item) == [(rule, level)]
    assert str(check_item(item, today=TODAY)[0]).startswith(f"{tmp_path}/story.md: ")


def test_dates_need_a_today(tmp_path):
    """Without one nothing is said about them: the checks have no clock."""
    assert check_item(make(tmp_path, published=date(2999, 1, 1))) == ()


def test_bad_04_is_blocked():
    """A picture without a description never goes out; this one is not even there."""
    assert rules(read_item(BAD_ITEMS / "bad-04-image-without-alt.md")) == [
        ("image.alt.missing", Level.BLOCK),
        ("image.file.missing", Level.BLOCK),
    ]


@pytest.mark.parametrize(
    ("start", "good"),
    [
        (PNG, True),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, True),
        (b"GIF89a" + b"\0" * 20, True),
        (b"RIFF\0\0\0\0WEBPVP8 ", True),
        (b"RIFF\0\0\0\0WAVEfmt ", False),
        (b"<svg onload='alert(1)'/>", False),
        (b"", False),
        (PNG + b"\0" * 10_000_000, False),
    ],
)
def test_pictures_are_known_by_content(tmp_path, start, good):
    """The name says nothing; more than 10 MB is too much."""
    (tmp_path / "a.png").write_bytes(start)

    found = rules(make(tmp_path, image="a.png", alt="A"))

    assert found == ([] if good else [("image.type", Level.BLOCK)])


def test_a_link_does_not_publish_a_file_from_elsewhere(tmp_path):
    """A picture that leads out of the queue folder is no picture of it."""
    (tmp_path / "secret.png").write_bytes(PNG)
    folder = tmp_path / "queue"
    folder.mkdir()
    (folder / "a.png").symlink_to(tmp_path / "secret.png")

    assert rules(make(folder, image="a.png", alt="A")) == [("image.file.missing", Level.BLOCK)]


# --------------------------------------------------------------------------- duplicates


def test_bad_14_is_the_same_story_as_item_01():
    """Same address after clean-up: both are named, and the later one gets the finding."""
    first = read_item(SAMPLES / "01-iom-thailand-mou-2007.md")
    again = read_item(BAD_ITEMS / "bad-14-duplicate-url.md")

    (finding,) = check_queue([first, again])

    assert (finding.rule, finding.level, finding.path) == ("url.duplicate", Level.WARN, again.path)
    assert first.id in finding.message
    assert again.id in finding.message


def test_sample_items_are_different_stories():
    """No two of them share an address."""
    assert check_queue(read_queue(SAMPLES).items) == ()


@pytest.mark.parametrize(
    "other",
    [
        "http://example.org/a/b?x=1&y=2",
        "https://www.example.org/a/b?x=1&y=2",
        "https://EXAMPLE.org:443/a//b/?y=2&x=1#part",
        "https://example.org/%61/b?x=1&utm_source=a&y=2&fbclid=b&gclid=c",
    ],
)
def test_the_same_page_has_one_form(other):
    """However it was copied."""
    assert same_page(other) == same_page("https://example.org/a/b?x=1&y=2")


@pytest.mark.parametrize(
    "other",
    [
        "https://example.org/a/b",
        "https://example.org/a/B?x=1&y=2",
        "https://example.org/a%2Fb?x=1&y=2",
        "https://example.org/a/b?x=1%26y=2",
        "https://news.example.org/a/b?x=1&y=2",
        "https://example.org:8443/a/b?x=1&y=2",
    ],
)
def test_other_pages_stay_apart(other):
    """A wrong merge loses a story."""
    assert same_page(other) != same_page("https://example.org/a/b?x=1&y=2")


def test_untracking_keeps_the_rest_to_the_letter():
    """Only the parameters that count clicks go."""
    assert untracked("https://e.org/a?b=%20+&utm_campaign=x&&c#d") == "https://e.org/a?b=%20+&&c#d"
    assert untracked("https://e.org/?UTM_Source=x") == "https://e.org/"
    assert untracked("https://e.org/?") == "https://e.org/?"
