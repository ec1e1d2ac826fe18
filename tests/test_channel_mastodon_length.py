"""The length of a status, held against the vectors of Mastodon, its client library and twitter-text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.mastodon.length import graphemes, links, rune_length, status_length, top_level_domains

VECTORS = Path(__file__).parent / "data" / "vectors"

# A server displays these as links too, but does not shorten them: they count in full.
NOT_SHORTENED = ("xmpp:", "magnet:")


def vectors(name: str, part: str = "cases") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))[part]
    return found


@pytest.mark.parametrize("case", vectors("mastodon_status_length_ground_truth"), ids=lambda c: c["text"][:30])
def test_the_web_pages_counter_agrees(case: dict[str, Any]) -> None:
    """Lengths that were read off Mastodon's own page."""
    assert status_length(case["text"]) == case["length"]


@pytest.mark.parametrize("case", vectors("mastodon_status_length_validator"), ids=lambda c: c["id"])
def test_the_servers_validator_agrees(case: dict[str, Any]) -> None:
    """Its own specification: what it takes and what it refuses at 500."""
    length = status_length(case["text"], case["cw"])

    assert length == case["length"]
    assert (length <= case["max_characters"]) is case["valid"]


@pytest.mark.parametrize("case", vectors("mastodon_countable_text_next"), ids=lambda c: c["text"][:30])
def test_the_budget_is_the_larger_of_the_released_and_the_next_count(case: dict[str, Any]) -> None:
    """What the next release counts differently must not make a post too long."""
    assert status_length(case["text"]) == case["safe_budget"]


@pytest.mark.parametrize("case", vectors("mastodon_url_extraction"), ids=lambda c: c["text"][:30])
def test_links_end_where_the_server_ends_them(case: dict[str, Any]) -> None:
    """Its formatter's specification, but for two schemes that are linked and never shortened."""
    is_shortened = case["link"] and not case["link"].startswith(NOT_SHORTENED)

    assert links(case["text"]) == ([case["link"]] if is_shortened else [])


@pytest.mark.parametrize("case", vectors("twitter_text_subset", "urls"), ids=lambda c: c["text"][:30])
def test_links_are_those_of_twitter_text(case: dict[str, Any]) -> None:
    """The library below the server, by its conformance suite."""
    assert links(case["text"]) == case["urls"]


@pytest.mark.parametrize(
    "case", vectors("mastodon_mentions_hashtags", "remote_mentions_next"), ids=lambda c: c["text"][:30]
)
def test_a_mention_never_counts_less_than_the_next_release_counts_it(case: dict[str, Any]) -> None:
    """Only the host part of a real mention is free."""
    free = sum(len(mention["host"]) + 1 for mention in case["mentions"])
    within_a_link = case["text"].startswith("https://")

    assert within_a_link or status_length(case["text"]) >= len(case["text"]) - free


@pytest.mark.parametrize("case", vectors("mastodon_mentions_hashtags", "hashtags"), ids=lambda c: c["text"])
def test_hashtags_count_as_they_are(case: dict[str, Any]) -> None:
    """Nothing about a hashtag is shortened."""
    assert status_length(case["text"]) == graphemes(case["text"])


@pytest.mark.parametrize("case", vectors("unit_counts"), ids=lambda c: ascii(c["text"]))
def test_characters_are_grapheme_clusters(case: dict[str, Any]) -> None:
    """A family of four is one character; so is a letter with its accents."""
    assert graphemes(case["text"]) == case["graphemes_js_intl"]
    assert rune_length(case["text"]) == case["codepoints"]


def test_a_short_link_costs_as_much_as_a_long_one() -> None:
    """23, also for a link of 12 characters; the server may reserve another number."""
    assert status_length("https://a.co") == 23
    assert status_length("https://a.co", url_length=30) == 30


def test_the_content_note_counts_and_is_never_shortened() -> None:
    """A link or a mention in the note counts in full."""
    note = "about https://example.com/a/rather/long/path and @a@example.com"

    assert status_length("x", note) == len(note) + 1


def test_a_link_below_an_unknown_ending_counts_in_full() -> None:
    """Too much is safe: the server may or may not know the ending."""
    url = "https://example.nosuchending/" + "a" * 50

    assert status_length(url) == len(url)


def test_the_endings_are_plain_lower_case_names() -> None:
    """The list is complete enough to hold what organisers link to."""
    assert {"org", "th", "social", "ไทย", "рф", "gay"} <= top_level_domains()
    assert all(name == name.lower() and "." not in name for name in top_level_domains())


@settings(deadline=None)  # the first count compiles the patterns
@given(st.text(alphabet=st.characters(exclude_characters="@.", exclude_categories=("Cs",))))
def test_plain_words_count_as_graphemes(text: str) -> None:
    """Without a dot or an at sign there is nothing to shorten."""
    assert status_length(text) == graphemes(text)


@settings(deadline=None)  # the first count compiles the patterns
@given(st.lists(st.sampled_from(["@", "a", ".", "/", "(", ")", "http://", "com", "-", "_", "?", " ", "ไ"])))
def test_any_heap_of_link_pieces_is_counted(pieces: list[str]) -> None:
    """No text makes the count negative, wrong in kind or endless."""
    text = "".join(pieces)

    assert 0 <= status_length(text) <= len(text) + 23 * (text.count(".") + 1)


def test_a_hostile_text_is_counted_in_a_moment() -> None:
    """Nested repetitions cost no more than a few readings of the text: the test would not end otherwise."""
    for hostile in ("http://" + "a." * 3000, "http://a.com/" + "(a" * 3000, "@a@" + "b." * 4000, "a-" * 5000):
        assert status_length(hostile) > 0
