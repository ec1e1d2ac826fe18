"""Finding words: one index for the page that runs in the browser and for the server that does without.

What counts as the same word is written once, here, as data (``RULES``): the index carries it, and
``templates/web/static/search.js`` does with it what this module does. A word is found by its beginning. In
scripts that put no blanks between words, two neighbouring characters stand for a word.
"""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import regex

LONGEST = 40  # characters of a word that count
MOST_TERMS = 20  # of a question

# Accents, vowel signs of Arabic and Hebrew, the Arabic lengthener, and what joins or turns invisibly.
_DROPPED = (
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed\u0640\u00ad\u200c-\u200f\u061c\u2060\u2066-\u2069\ufeff]"
)
# Letters that are written in more than one way, after Unicode took them apart.
_SAME = {
    **dict(zip("ßæœøđðþłıħ", ("ss", "ae", "oe", "o", "d", "d", "th", "l", "i", "h"), strict=True)),
    **dict(zip("ςىیکةٱےہھ", "σييكهايهه", strict=True)),
    **{
        chr(zero + digit): str(digit)
        for zero in (0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xED0, 0x1040, 0x17E0)
        for digit in range(10)
    },
}
# The Arabic article, with what may stand before it: a word is found with it and without.
_ARTICLE = "^[وف]?(?:[بك]?ال|لل)(?=.{3})"
# Thai, Lao, Burmese, Khmer; kana; Chinese characters.
_UNSPACED = (
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
_WORD = r"[\p{L}\p{N}\p{M}]+"

RULES: Mapping[str, object] = {
    "dropped": _DROPPED,
    "same": _SAME,
    "article": _ARTICLE,
    "unspaced": _UNSPACED,
    "word": _WORD,
    "longest": LONGEST,
    "terms": MOST_TERMS,
}

_dropped, _word, _article = regex.compile(_DROPPED), regex.compile(_WORD), regex.compile(_ARTICLE)
_runs = regex.compile(f"{_UNSPACED}+|[^{_UNSPACED[1:]}+")
_unspaced = regex.compile(_UNSPACED)
_same = str.maketrans(_SAME)


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Something that can be found."""

    path: str
    title: str
    lang: str
    dir: str
    source: str
    day: str
    text: str  # everything else that is searched


@dataclass(frozen=True, slots=True)
class Term:
    """A piece of a question: a whole index entry, or the beginning of some."""

    text: str
    begins: bool


def same(text: str) -> str:
    """The text as it is compared: without case, accents, vowel signs and two ways to write one letter."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).lower())
    return unicodedata.normalize("NFC", _dropped.sub("", apart).translate(_same))


def entries(text: str) -> set[str]:
    """What an index holds of a text."""
    found: set[str] = set()
    for run, unspaced in _pieces(text):
        if unspaced:
            found |= {run[at : at + 2] for at in range(len(run))}
        else:
            found |= {run[:LONGEST], _article.sub("", run)[:LONGEST]}
    return found


def terms(question: str) -> list[Term]:
    """What a text must hold to be an answer."""
    found: list[Term] = []
    for run, unspaced in _pieces(question):
        if unspaced and len(run) > 1:
            found += [Term(run[at : at + 2], begins=False) for at in range(len(run) - 1)]
        else:
            found.append(Term(_article.sub("", run)[:LONGEST], begins=True))
    return list(dict.fromkeys(found))[:MOST_TERMS]


def _pieces(text: str) -> Iterable[tuple[str, bool]]:
    for word in _word.findall(same(text)):
        for run in _runs.findall(word):
            yield run, bool(_unspaced.match(run))


@dataclass(frozen=True)
class Index:
    """Documents of one language, the newest first, and where each entry stands."""

    documents: Sequence[Document]

    @cached_property
    def places(self) -> Mapping[str, Sequence[int]]:
        """The numbers of the documents that hold an entry, for each entry in order."""
        found: dict[str, list[int]] = defaultdict(list)
        for number, document in enumerate(self.documents):
            for entry in entries(f"{document.title}\n{document.source}\n{document.text}"):
                found[entry].append(number)
        return dict(sorted(found.items()))

    def find(self, question: str) -> list[Document]:
        """The documents that hold all of it: those that say it in their headline first, then the newest."""
        asked = terms(question)
        if not asked:
            return []
        found = set.intersection(*(self._with(term) for term in asked))
        ranked = sorted(found, key=lambda number: (not self._in_title(number, asked), number))
        return [self.documents[number] for number in ranked]

    def _with(self, term: Term) -> set[int]:
        if not term.begins:
            return set(self.places.get(term.text, ()))
        return {n for entry, ns in self.places.items() if entry.startswith(term.text) for n in ns}

    def _in_title(self, number: int, asked: Iterable[Term]) -> bool:
        title = entries(self.documents[number].title)
        return all(
            any(entry.startswith(term.text) for entry in title) if term.begins else term.text in title
            for term in asked
        )

    def to_json(self, link: Callable[[str], str] = str) -> bytes:
        """For the browser; ``link`` makes addresses that work on the search page.

        Each entry has the steps from one document to the next, in base 36.
        """
        shown = [[link(d.path), d.title, d.lang, d.dir, d.source, d.day] for d in self.documents]
        index = {
            "rules": RULES,
            "documents": shown,
            "entries": {e: _steps(n) for e, n in self.places.items()},
        }
        return json.dumps(index, ensure_ascii=False, separators=(",", ":")).encode()


def _steps(numbers: Sequence[int]) -> str:
    return " ".join(_base36(here - before) for before, here in zip((0, *numbers), numbers, strict=False))


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if not number:
            return digits
