"""Where a text may end early: after a sentence, else between words, never inside a grapheme cluster.

A sentence is found by the marks of its script (Unicode's Sentence_Break property), not by a model. Where a
mark is doubtful, as after an abbreviation, it is taken for no end: a cut too few costs words, a cut too many
costs sense.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import regex

ELLIPSIS = "…"

# Scripts with these marks put a space behind them; the others (。 । ။ ។ ።) may stand without one.
_SPACED = frozenset(".!?…‥․．؟۔;\u037e։")
# ၊ is a comma, though Unicode lists it as a sentence mark; the Tibetan shad and the ellipses are not listed.
_MARKS = r"[\p{SB=STerm}\p{SB=ATerm}…‥།༎\u037e--၊]"
# French sets a space before the closing quote: « C’est vrai. »
_CLOSE = r"[\p{SB=Close}--\p{Ps}]*(?:\s»(?!\S))?"
_END = regex.compile(rf"(?V1)({_MARKS}+){_CLOSE}")
_GREEK_END = regex.compile(rf"(?V1)([{_MARKS};]+){_CLOSE}")
_GREEK = frozenset({"el", "ell"})

# Thai and Lao write sentences without a mark; their full stop belongs to abbreviations (พ.ศ.).
_NO_FULL_STOP = frozenset({"th", "tha", "lo", "lao"})
# "am 3. Oktober": a number with a full stop is an ordinal.
_ORDINALS = frozenset(
    """
    cs ces da dan de deu et est fi fin fo fao hr hrv hu hun is isl lb ltz lv lav nb nob nn nno no nor pl pol
    sk slk sl slv sr srp tr tur
    """.split()  # noqa: SIM905
)
_ABBREVIATIONS = frozenset(
    """
    adm al approx apt assn asst ave bldg blvd bros bzw ca capt cf cie co col corp dept dir dott dr dra drs ed
    eds esq est evtl exc excma excmo exma exmo gen ggf gov hon hr hrsg inc inkl insp intl jr lic lt ltd maj
    mgr mlle mm mme mr mrs ms msgr mt mtro prof rep rev sen sgt sig sr sra sres srta st ste str u.a ud uds
    univ usw vgl vs им обл проф св см ст ул
    """.split()  # noqa: SIM905
)
_BEFORE_NUMBERS = frozenset(
    """
    abs apr ar art arts aug ch chap cir dec dez doc ex feb fig jan jul jun mar nos no nov nr num núm nº n oct
    okt p par para pág pp pt r res s sec sect sep sept seq t vol г гл гг п рис с стр табл
    """.split()  # noqa: SIM905
)

# Between words: spaces, the Ethiopic word space, the Tibetan tsheg, the zero width space of Khmer.
_BREAK = regex.compile(r"[\s፡་\u200b]+")
# What must not stand before the ellipsis: breaks, opening marks, dashes, commas, and the Thai and Lao vowels
# that are written before the consonant they belong to.
_DANGLING = regex.compile(r"[\s፡་\u200b\p{Ps}\p{Pi}\p{Pd}\p{LOE},;:/&،؛、，；：၊·]+")
_LINK = regex.compile(r"[a-z][a-z0-9+.-]{0,30}://\S+", regex.IGNORECASE)
_BRACKETS = {opening: closing for opening, closing in ("()", "[]", "（）", "「」", "『』", "【】", "《》")}  # noqa: C416


def graphemes(text: str) -> list[str]:
    """What a reader takes for single characters."""
    return list(regex.findall(r"\X", text))


@dataclass(frozen=True, slots=True, eq=False)
class Cuts(Sequence[str]):
    """The shorter forms of a text, longest first; built when asked for, as there may be thousands."""

    text: str
    offsets: tuple[int, ...]  # falling
    tail: str = ""

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Cuts: ...
    def __getitem__(self, index: int | slice) -> str | Cuts:
        if isinstance(index, slice):
            return Cuts(self.text, self.offsets[index], self.tail)
        return self.text[: self.offsets[index]] + self.tail


def at_sentences(text: str, lang: str = "en") -> Cuts:
    """The text up to each of its sentence ends, longest first; without the whole text."""
    return Cuts(text, tuple(end for end in reversed(sentence_ends(text, lang)) if end < len(text)))


def at_words(text: str, *, least: int = 1) -> Cuts:
    """The text cut between words, with an ellipsis, longest first; none shorter than ``least`` graphemes.

    Where that would lose more than half (Chinese, or one long word), between graphemes.
    A link is never cut, nor does the ellipsis touch one: it would become a part of it.
    """
    offsets = dict.fromkeys(end for end in _word_ends(text, least) if 0 < end < len(text))
    return Cuts(text, tuple(sorted(offsets, reverse=True)), ELLIPSIS)


def has_sentence_marks(lang: str) -> bool:
    """Whether the language ends its sentences with a mark; Thai and Lao leave a space."""
    return lang.casefold().replace("_", "-").split("-")[0] not in _NO_FULL_STOP


def sentence_ends(text: str, lang: str = "en") -> tuple[int, ...]:
    """Offsets behind each sentence's mark and its closing quotes; the end of the text is always one."""
    language = lang.casefold().replace("_", "-").split("-")[0]
    pattern = _GREEK_END if language in _GREEK else _END
    whole, closed = {m.end() for m in regex.finditer(r"\X", text)}, _Brackets(text)
    ends: list[int] = []
    for match in pattern.finditer(text):
        start = ends[-1] if ends else 0
        if match.end() in whole and _is_end(text, match, start, language) and closed.at(match.end()):
            ends.append(match.end())
    text_end = len(text.rstrip())
    return tuple(ends) if not text_end or text_end in ends else (*ends, text_end)


def _is_end(text: str, match: regex.Match[str], start: int, language: str) -> bool:
    mark, rest = match[1], text[match.end() :]
    if not rest.strip():
        return True
    if mark[-1] in _SPACED and (not rest[0].isspace() or _goes_on(rest)):
        return False
    return mark != "." or not _is_abbreviation(text[start : match.start()], rest.lstrip(), language)


def _goes_on(rest: str) -> bool:
    """Whether the next word begins with a small letter: "Yahoo! says", "and so on… but"."""
    letter = regex.match(r"\P{Alnum}*(.)", rest, regex.DOTALL)
    return letter is not None and letter[1].islower()


def _is_abbreviation(sentence: str, rest: str, language: str) -> bool:
    """Whether the full stop after ``sentence`` belongs to its last word."""
    if language in _NO_FULL_STOP:
        return True
    words = sentence.split()
    word = regex.sub(r"^[\p{P}\p{S}]+", "", words[-1]).casefold() if words else ""
    if word.isdecimal():
        return len(word) < 3 and (len(words) == 1 or language in _ORDINALS)
    pieces = word.split(".")
    short = all(len(piece) < 3 for piece in pieces)
    return (
        (len(pieces) > 1 and short)  # U.S., e.g., Ph.D.
        or (len(word) == 1 and word.isalpha())  # an initial
        or word in _ABBREVIATIONS
        or (word in _BEFORE_NUMBERS and rest[:1].isnumeric())
    )


class _Brackets:
    """Which offsets of a text lie outside every bracket that is closed again."""

    def __init__(self, text: str) -> None:
        self._spans: list[tuple[int, int]] = []
        waiting: list[tuple[str, int]] = []
        for offset, char in enumerate(text):
            if char in _BRACKETS:
                waiting.append((_BRACKETS[char], offset))
            elif waiting and char == waiting[-1][0]:
                begin = waiting.pop()[1]
                if not waiting:
                    self._spans.append((begin, offset))

    def at(self, offset: int) -> bool:
        return not any(begin < offset <= end for begin, end in self._spans)


def _word_ends(text: str, least: int) -> Iterator[int]:
    """For each grapheme, where a cut within reach of it would be made."""
    links = [match.span() for match in _LINK.finditer(text)]
    link_ends = {end for _, end in links}
    word_end = kept = 0
    for count, match in enumerate(regex.finditer(r"\X", text), 1):
        if any(begin < match.end() < end for begin, end in links):
            continue
        if _BREAK.fullmatch(match[0]):
            word_end = kept
        elif not _DANGLING.fullmatch(match[0]):
            kept = match.end()
        end = word_end if 2 * word_end >= kept else kept
        if count >= least and end not in link_ends:
            yield end
