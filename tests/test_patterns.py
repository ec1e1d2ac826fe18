"""No regular expression of the house costs more than the length of the text that a stranger wrote."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from textwrap import dedent
from types import SimpleNamespace

import pytest
import regex

from bot.audience import services, states
from bot.audience.verp import ReturnPaths
from bot.channels.email import compiled, terms
from bot.channels.mastodon import length
from bot.reader import plainwords
from tests.support.growth import BOUND, asking, growth, texts
from tests.support.patterns import Pattern, patterns_and_composed

EVERYDAY = 60  # texts of each pattern; the slow test takes all of them
FOUND, COMPOSED = patterns_and_composed()

_ADDRESS = "reader.one@example.net"

# What is made at run time from values of ours, as it is made there. () says: its results are module values,
# which are found by themselves.
EXAMPLES: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "bot/audience/bounces/phrases.py:_RULES": list,
    "bot/audience/bounces/plainwords.py:_any": list,
    "bot/audience/bounces/stages.py:_STEP": list,
    "bot/audience/bounces/understanding.py:_clean": lambda: [(r"(?i)(?<!\w)reader\.one(?!\w)", "sub")],
    "bot/audience/services.py:belongs": lambda: [
        (service.names, "fullmatch") for service in services.SERVICES if service.names
    ],
    "bot/audience/states.py:_ASPECT_PATTERNS": lambda: [
        (each.pattern, "search") for _, each in states._ASPECT_PATTERNS
    ],
    "bot/audience/verp.py:ReturnPaths.__init__": lambda: [
        (ReturnPaths("bounce@news.example.org", [b"k" * 32])._pattern.pattern.decode(), "finditer")
    ],
    "bot/channels/email/compiled.py:_anyhow": lambda: [
        (compiled._anyhow("1 Long Street, 2000 Bern").pattern, "search")
    ],
    "bot/channels/email/replies.py:clean": lambda: [(f"(?i){each}", "sub") for each in _hidden()],
    "bot/channels/mastodon/length.py:_compiled": lambda: [
        (each.pattern, "sub") for each in (length._server_links(), length._web_links(), length._next_links())
    ],
    "bot/config/explaining.py:dotenv_names": lambda: [
        (r"(?m)^[ \t]*(?:export[ \t]+)?(BOT_\w+)[ \t]*=[ \t]*(?=\S)", "findall")
    ],
    "bot/deliverability/spf/macros.py:_expanded": lambda: [(r"[\.\+]", "split")],
    "bot/deliverability/spf/record.py:_network": lambda: [
        (r"0|[1-9][0-9]?", "fullmatch"),
        (r"0|[1-9][0-9]{0,2}", "fullmatch"),
    ],
    "bot/reader/plainwords.py:explain": lambda: [(each[0], "search") for each in plainwords._MEANINGS],
    "bot/store/traces.py:mentions": lambda: [
        (r"(?<![\w.+\x80-\xff])(?:reader\.one@example\.net|READER)(?![\w\x80-\xff]|\.\w)", "search")
    ],
}


def _hidden() -> tuple[str, ...]:
    return terms.who(SimpleNamespace(recipient=_ADDRESS))  # type: ignore[arg-type]


def _examples() -> list[Pattern]:
    return [
        Pattern(place=place, compiled=_built(place, source), asked=(asked,))
        for place, made in EXAMPLES.items()
        for source, asked in made()
    ]


def _built(place: str, source: str) -> object:
    return length._compiled(source) if "mastodon" in place else re.compile(source)


ALL = [*FOUND, *_examples()]


def _worst(pattern: Pattern, most: int | None = None) -> tuple[float, str]:
    """The fastest growth that was found, and the text that did it."""
    worst = (0.0, "")
    for way in pattern.asked:
        ask = asking(pattern.compiled, way)
        for text in _some(list(texts(pattern.compiled)), most):
            worst = max(worst, (growth(ask, text), f"{way}: {text.__doc__}"))
            if worst[0] >= BOUND:
                return worst
    return worst


def _some(found: list[Callable[[int], str]], most: int | None) -> list[Callable[[int], str]]:
    if most is None or len(found) <= most:
        return found
    return [*found[:20], *Random(len(found)).sample(found[20:], most - 20)]


@pytest.mark.parametrize("pattern", ALL, ids=str)
def test_four_times_the_text_is_about_four_times_the_work(pattern: Pattern) -> None:
    """Linear is 4, quadratic is 16."""
    ratio, text = _worst(pattern, EVERYDAY)

    assert ratio < BOUND, f"{pattern.place}: 4n costs {ratio:.0f} times n with {text}"


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ALL, ids=str)
def test_no_text_that_can_be_made_of_its_pieces_costs_more(pattern: Pattern) -> None:
    """The same with every text that its branches, repeats and letters give."""
    ratio, text = _worst(pattern)

    assert ratio < BOUND, f"{pattern.place}: 4n costs {ratio:.0f} times n with {text}"


def test_a_pattern_that_is_made_at_run_time_has_an_example() -> None:
    """Whoever composes a new one says here what it may look like."""
    assert {each.place for each in COMPOSED} == set(EXAMPLES)


def test_the_patterns_are_found() -> None:
    """Not fewer by accident: a name, a container, a bound method and a call on the spot."""
    places = {pattern.place for pattern in FOUND}

    assert len(FOUND) > 150
    assert {
        "bot/audience/bounces/plainwords.py:_COPY",
        "bot/audience/bounces/phrases.py:_RULES",
        "bot/audience/addresses.py:_is_plain_domain",
        "bot/rendering/issue.py:one_line",
        "bot/channels/email/dialect.py:usual_answers",
    } <= places


PLANTED = {
    "hyphens": (r"-{2,}[ -]*(?:copy|end)", "search"),
    "blank lines": (r"\s*\n\s*x", "sub"),
    "words that go on": (r"authenticat\w* failed", "search"),
    "tags": (r"<[^>]+>", "sub"),
    "comments": (r"(?s)<!--.*?-->", "finditer"),
    "addresses": (r"[^\s<>]+@[^\s<>]+", "sub"),
    "the middle of a word": (r"[a-z]*x[a-z]*!", "fullmatch"),
    "nested": (r"(?:[a-z]+[0-9]?){2,3}!", "fullmatch"),
    "two repeats that meet": (r"(?:a b)*\s*(?:a b)*!", "fullmatch"),
    "a tail of blanks": (r"[a-z]+=(.*?)\s*", "fullmatch"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_quadratic_pattern_is_caught(name: str) -> None:
    """The test of the test: each of these was in somebody's code."""
    source, way = PLANTED[name]

    ratio, _ = _worst(Pattern(place=name, compiled=re.compile(source), asked=(way,)), EVERYDAY)

    assert ratio >= BOUND


def test_a_quadratic_pattern_of_the_other_engine_is_caught() -> None:
    """The letters of \\p{L} are tried too."""
    tag = regex.compile(r"[\w·]*\p{L}[\w·]*")

    ratio, _ = _worst(Pattern(place="hashtag", compiled=tag, asked=("fullmatch",)), EVERYDAY)

    assert ratio >= BOUND


def test_a_planted_pattern_is_found_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name, in a list, as a bound method, on the spot, in another engine; composed ones are told."""
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted" / "__init__.py").write_text("")
    (tmp_path / "planted" / "rules.py").write_text(
        dedent(
            r"""
            import re
            import regex
            _NAMED = re.compile("named")
            _LIST = [("x", re.compile("listed"))]
            _asks = re.compile("bound", re.I).fullmatch
            def on_the_spot(text):
                return _NAMED.search(text), re.sub("spot", "", text), regex.split(r"\p{L}other", text)
            def composed(name, text):
                return re.match(f"{name}+", text)
            """
        )
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    found, composed = patterns_and_composed(tmp_path / "planted")

    assert {(each.compiled.pattern, each.asked) for each in found} == {
        ("named", ("search",)),
        ("listed", ("finditer",)),
        ("bound", ("fullmatch",)),
        ("spot", ("sub",)),
        (r"\p{L}other", ("split",)),
    }
    assert [each.place for each in composed] == ["planted/rules.py:composed"]
