"""An item as a short message of one channel: rendered from the channel's template, shortened until it fits.

The words are shortened before they are escaped and the template is rendered again for each try, so no cut can
fall into a tag, an entity or the link. The channel's own counter and limits come as arguments.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlsplit

import regex

from bot.errors import QueueError, TemplateError
from bot.model import Item, Media, Message
from bot.rendering.bidi import directed, isolated, line
from bot.rendering.languages import direction, fill, long_date
from bot.rendering.pictures import read_picture
from bot.rendering.shorten import at_sentences, at_words, graphemes, has_sentence_marks
from bot.rendering.templates import Templates

HASHTAGS = 3
LONGEST_HASHTAG = 40

_WORD_JOINER = "\u2060"

# A link stays as it is; elsewhere an "@" before a name, or a "#" before a word or a number, is disarmed: some
# servers make a hashtag of "#1" too.
_ARMED = regex.compile(r"[a-z][a-z0-9+.-]{0,30}://\S+|(?<![a-z0-9_])[@＠](?=\w)|[#＃](?=\w)", regex.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What the template says, as far as it may be shortened."""

    title: str
    summary: str
    note: str  # never shortened
    source: str
    date: str
    region: str
    alt: str
    tags: tuple[str, ...]


def render_post(
    item: Item,
    *,
    kind: str,
    templates: Templates,
    length: Callable[[str], int],
    characters: int,
    caption: int = 0,
    alt_text: int = 0,
    media: bool | None = None,
) -> Message:
    """The item in the words of ``templates/<kind>/post.txt`` or ``post.html``, at most ``characters`` long.

    ``length``: the channel's counter. With a picture the limit is ``caption``, if the channel has one. A
    channel without ``alt_text`` gets the picture's description in the text. A content note that the template
    does not show goes out in its own field and counts too. ``media``: whether the channel takes pictures; by
    default when it has a limit for one. Raises QueueError when not even title and link fit, or when
    the picture cannot be read: a post never goes out without its picture.
    """
    media = bool(caption or alt_text) if media is None else media
    pictures = _pictures(item, alt_text) if media else ()
    words = _words(item, alt="" if alt_text or not pictures else item.alt)
    render = partial(_render, _template(templates, kind), templates, item)
    shows_note = not words.note or render(words) != render(replace(words, note=""))
    reserved = 0 if shows_note else max(length(words.note), len(graphemes(words.note)))
    limit = (caption or characters) if pictures else characters

    fitted, shortened = shorten(
        _seen(words, render), lambda tried: length(render(tried)) + reserved <= limit, item.lang
    )

    if fitted is None:
        raise _too_long(item, limit)
    if pictures and pictures[0].alt != item.alt:
        shortened = (*shortened, "picture's description: shortened")
    return Message(
        kind="post",
        lang=item.lang,
        text=render(fitted),
        content_note="" if shows_note else words.note,
        url=item.url,
        media=pictures,
        shortened=shortened,
    )


def _too_long(item: Item, limit: int) -> QueueError:
    problem = f"does not fit into a post of {limit} characters, however short its words"
    return QueueError(item.path, problem=problem, advice="shorten content_warning, or find a shorter url")


def _template(templates: Templates, kind: str) -> str:
    for name in (f"{kind}/post.txt", f"{kind}/post.html"):
        if templates.exists(name):
            return name
    raise TemplateError(f"{kind}/post.txt", problem="there is no such template, nor post.html")


def _seen(words: Words, render: Callable[[Words], str]) -> Words:
    """Without what the template does not show: leaving that out would help nothing."""
    whole = render(words)
    without = {"summary": "", "source": "", "date": "", "region": "", "alt": "", "tags": ()}
    unseen = {field: none for field, none in without.items() if render(_with(words, field, none)) == whole}
    return replace(words, **unseen)  # type: ignore[arg-type]


def _pictures(item: Item, alt_text: int) -> tuple[Media, ...]:
    if item.image_path is None:
        return ()
    picture = read_picture(item.image_path, item=item.path)
    alt, covered = described(item, alt_text), bool(item.content_warning.strip())
    return (Media(path=picture.path, mime_type=picture.mime_type, alt=alt, covered=covered),)


def described(item: Item, alt_text: int) -> str:
    """The picture's description in at most ``alt_text`` code points, up to a sentence; 0: no limit."""
    if not alt_text or len(item.alt) <= alt_text:
        return item.alt
    shorter = (*at_sentences(item.alt, item.lang), *at_words(item.alt))
    return next((text for text in shorter if len(text) <= alt_text), "")


# --------------------------------------------------------------------------- fitting


def shorten(words: Words, fits: Callable[[Words], bool], lang: str) -> tuple[Words | None, tuple[str, ...]]:
    """The longest words that fit, and what was shortened; None when nothing does.

    First the summary gives way, sentence by sentence: a part of one would say something else than its author.
    Then what surrounds the title, at last the title.
    """
    if fits(words):
        return words, ()
    told: dict[str, str] = {}
    for field, how, shorter_forms in _steps(lang):
        forms = shorter_forms(words)
        if not forms:
            continue
        tries = _Tries(words, field, forms)
        told[field] = how
        found = bisect_left(tries, True, key=fits)
        words = tries[min(found, len(tries) - 1)]
        # Counters need not fall with every cut (a link half cut is longer than 23): ask again.
        if fits(words):
            return words, tuple(f"{name}: {what}" for name, what in told.items())
    return None, ()


def _steps(lang: str) -> Iterator[tuple[str, str, Callable[[Words], Sequence[object]]]]:
    """In which order the words give way, and how."""
    yield "summary", "shortened at a sentence", lambda words: at_sentences(words.summary, lang)
    yield "alt", "shortened at a sentence", lambda words: at_sentences(words.alt, lang)
    if not has_sentence_marks(lang):  # its spaces are where a thought ends
        yield "summary", "cut", lambda words: at_words(words.summary, least=30)
    yield "alt", "cut", lambda words: at_words(words.alt, least=30)
    yield "summary", "left out", lambda words: ("",) if words.summary else ()
    yield "alt", "left out", lambda words: ("",) if words.alt else ()
    yield "tags", "fewer", lambda words: [words.tags[:count] for count in reversed(range(len(words.tags)))]
    yield "region", "left out", lambda words: ("",) if words.region else ()
    yield "source", "cut", lambda words: at_words(words.source, least=20)
    yield "title", "cut", lambda words: at_words(words.title, least=20)
    yield "source", "left out", lambda words: ("",) if words.source else ()
    yield "date", "left out", lambda words: ("",) if words.date else ()
    yield "title", "cut", lambda words: at_words(words.title)


class _Tries(Sequence[Words]):
    """The words with each of the shorter forms of one field."""

    def __init__(self, words: Words, field: str, forms: Sequence[object]) -> None:
        self._words, self._field, self._forms = words, field, forms

    def __len__(self) -> int:
        return len(self._forms)

    def __getitem__(self, index: int) -> Words:  # type: ignore[override]
        return _with(self._words, self._field, self._forms[index])


def _with(words: Words, field: str, value: object) -> Words:
    return replace(words, **{field: value})  # type: ignore[arg-type]


# --------------------------------------------------------------------------- words


def _words(item: Item, *, alt: str) -> Words:
    return Words(
        title=_flat(item.title),
        summary=_flat(item.summary),
        note=_flat(item.content_warning),
        source=_flat(item.source),
        date=long_date(item.published, item.lang),
        region=_flat(item.region.rsplit("/", 1)[-1]),
        alt=_flat(alt),
        tags=hashtags(item.tags, acronyms=_acronyms(item)),
    )


def _flat(text: str) -> str:
    """On one line; no-break spaces stay, French needs them."""
    return str(regex.sub(r"[ \t\r\n\f\v\x85\u2028\u2029]+", " ", text)).strip(" ")


def _render(name: str, templates: Templates, item: Item, words: Words) -> str:
    house, way = templates.strings(item.lang), direction(item.lang)
    host = (urlsplit(item.url).hostname or "").removeprefix("www.")
    text = templates.render(
        name,
        title=directed(disarmed(words.title), way),
        summary=directed(disarmed(words.summary), way),
        note=disarmed(words.note),
        source=disarmed(words.source),
        date=words.date,
        region=disarmed(words.region),
        alt=disarmed(words.alt),
        url=item.url,
        read_at=directed(fill(house.get("read_at", "{source}"), source=isolated(host, way)), way),
        hashtags=" ".join(isolated(tag, way) for tag in words.tags),
        line=partial(line, way=way),
        words=house,
        lang=item.lang,
        dir=way,
    )
    return _tidy(text)


def _tidy(text: str) -> str:
    """No blanks at the ends of lines and never two empty lines together."""
    lines = "\n".join(row.strip(" \t") for row in text.split("\n"))
    return str(regex.sub(r"\n{3,}", "\n\n", lines)).strip("\n")


# --------------------------------------------------------------------------- mentions and hashtags


def disarmed(text: str) -> str:
    """The text with a word joiner behind each "@" or "#" that would become a mention or a hashtag.

    An item never mentions anybody: it would call a stranger, and join their name with the subject. Hashtags
    come from the item's tags alone. U+2060 is invisible, does not break a line, and is counted as it stands.
    """
    return str(_ARMED.sub(lambda m: m[0] + _WORD_JOINER if len(m[0]) == 1 else m[0], text))


def hashtags(tags: Sequence[str], *, acronyms: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The first three tags that can be hashtags: "forced-labour" becomes #ForcedLabour, "iom" #IOM.

    Capitals help screen readers to tell the words apart; a script without capitals gets "_" between them.
    """
    made = (_hashtag(tag, acronyms or {}) for tag in tags)
    unique = {tag.casefold(): tag for tag in reversed([tag for tag in made if tag])}
    return tuple(reversed(unique.values()))[:HASHTAGS]


def _hashtag(tag: str, acronyms: Mapping[str, str]) -> str:
    pieces = [
        piece
        for piece in regex.split(r"[-\s_/'’‐‑]+", unicodedata.normalize("NFC", tag.strip("# ")))
        if piece
    ]
    tagged = ""
    for piece in (acronyms.get(piece.casefold(), piece[0].upper() + piece[1:]) for piece in pieces):
        tagged += f"_{piece}" if tagged and _has_no_case(tagged, piece) else piece
    possible = regex.fullmatch(r"(?=\P{L}*+\p{L})[\w\u200c·・]++", tagged)
    return f"#{tagged}" if possible and len(graphemes(tagged)) <= LONGEST_HASHTAG else ""


def _has_no_case(*pieces: str) -> bool:
    return any(regex.search(r"\p{Lo}", piece) for piece in pieces)


def _acronyms(item: Item) -> dict[str, str]:
    """How the item itself writes its short words in capitals; not in a dateline or a headline of capitals."""
    texts = (item.title, item.source, item.summary, regex.sub(r"^.{0,60}?(--|[–—])", "", item.body))
    spoken = " ".join(text for text in texts if not text.isupper() or len(text) < 20)
    words = (word for word in regex.findall(r"\b\w{2,6}\b", spoken) if word.isupper())
    return {word.casefold(): word for word in (*words, "EU", "UK", "UN", "USA")}
