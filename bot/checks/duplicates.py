"""When two items tell the same story: the same page, or nearly the same title."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

import regex

from bot.checks.addresses import same_page
from bot.model import Item

NEARLY = 0.85  # of difflib's ratio: a word more or less, another ending
COMMON = 50  # a word of more titles than this tells nothing

# Runs without spaces (Chinese, Thai) count by pairs of characters.
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Line_Break=SA}]{2,}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Duplicate:
    """Another item with the same story, and what gives it away."""

    other: Item
    by: str  # "address" or "title"


class Stories:
    """Items in which one is looked for by its page and its title, without comparing each with each."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._by_page: dict[str, list[Item]] = defaultdict(list)
        self._by_word: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            self.add(item)

    def add(self, item: Item) -> None:
        """From now on it is found."""
        self._by_page[same_page(item.url)].append(item)
        for word in _words(item.title):
            self._by_word[word].append(item)

    def like(self, item: Item) -> Iterator[Duplicate]:
        """The other items with the same story: first those of the same page."""
        same = [other for other in self._by_page.get(same_page(item.url), ()) if other.id != item.id]
        yield from (Duplicate(other=other, by="address") for other in same)
        for other in self._near(item):
            if other not in same and is_nearly_same_title(item.title, other.title):
                yield Duplicate(other=other, by="title")

    def _near(self, item: Item) -> Iterator[Item]:
        """Those that share half of the title's words."""
        words = _words(item.title)
        found = {word: self._by_word.get(word, ()) for word in words}
        rare = [others for others in found.values() if len(others) <= COMMON]
        shared = Counter(other.id for others in rare for other in others)
        candidates = {other.id: other for others in rare for other in others if other.id != item.id}
        needed = max(1, len(words) - sum(len(others) > COMMON for others in found.values())) / 2
        yield from (other for name, other in candidates.items() if shared[name] >= needed)


def is_nearly_same_title(one: str, other: str) -> bool:
    """Whether they differ by little, and in no number: "Report 12" and "Report 13" are two."""
    if _numbers(one) != _numbers(other):
        return False
    matcher = SequenceMatcher(None, _plain(one), _plain(other), autojunk=False)
    return matcher.real_quick_ratio() >= NEARLY and matcher.quick_ratio() >= NEARLY <= matcher.ratio()


def _plain(title: str) -> str:
    """Without punctuation, capitals and doubled spaces; the first 300 characters."""
    letters = unicodedata.normalize("NFKC", title[:300]).casefold()
    return " ".join(regex.findall(r"[\w\p{M}]+", letters))


def _numbers(title: str) -> list[str]:
    return sorted(regex.findall(r"\d+", unicodedata.normalize("NFKC", title[:300])))


def _words(title: str) -> set[str]:
    words: set[str] = set()
    for word in _plain(title).split():
        runs = _UNSPACED.findall(word)
        words |= {run[at : at + 2] for run in runs for at in range(len(run) - 1)} if runs else {word}
    return words
