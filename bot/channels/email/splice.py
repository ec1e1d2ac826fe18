"""A body with places for personal pieces, encoded once; for each reader only their values are.

No encoded line begins with a dot (a leading one is written ``=2E``, and base64 has none), so what is spliced
together is ready for DATA as it stands: nobody has to look through the bytes for dots again.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_qp
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.model import PLACEHOLDER

Write = Callable[[str], str]  # how a value stands in this body

_PLAIN = re.compile(r"[\w-](?:[ \w.,:;/@+-]{0,70}[\w.-])?", re.ASCII)  # the same in HTML, and short
# b2a_qp forgets to count the two characters more of a space at the end of a line.
_TOO_LONG = re.compile(rb"(?m)^(.{74,75})(=20|=09)$")
_DOTS = re.compile(rb"(?m)^\..*$")
_LINE = 76
_GROUP = 57  # bytes that make a whole line of base64
_LETTERS_PER_BYTE = 4 / 3 * 78 / 76  # in base64, with its line ends


def encoded(text: str, *, write: Write = str) -> Quoted | Shifted:
    """Quoted-printable or base64, whichever is shorter; line ends of every kind become CRLF."""
    text = re.sub(r"\r\n?", "\n", text)
    quoted = Quoted.of(text, write)
    canonical = text.replace("\n", "\r\n").encode()
    return Shifted.of(text, write) if len(quoted) > len(canonical) * _LETTERS_PER_BYTE else quoted


def places(text: str) -> tuple[str, ...]:
    """The names of the personal pieces in this text, in order, each as often as it stands there."""
    return tuple(PLACEHOLDER.findall(text))


def fixed(text: str) -> list[str]:
    """What stands around the personal pieces: always one more than there are places."""
    return PLACEHOLDER.split(text)[::2]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A short text with places, for a header."""

    around: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Line:
        return cls(around=tuple(fixed(text)), names=places(text))

    def __bool__(self) -> bool:
        """Whether it has places."""
        return bool(self.names)

    def filled(self, values: Mapping[str, str]) -> str:
        """With its personal pieces."""
        line = self.around[0]
        for name, after in zip(self.names, self.around[1:], strict=True):
            line += values[name] + after
        return line


# --------------------------------------------------------------------------- quoted-printable


@dataclass(frozen=True, kw_only=True, slots=True)
class Quoted:
    """Quoted-printable: a soft line break before and after each place lets any value stand there."""

    template: tuple[bytes, ...]
    slots: tuple[tuple[str, tuple[int, ...]], ...]  # a name, and where in ``template`` it goes
    write: Write
    encoding: str = "quoted-printable"

    @classmethod
    def of(cls, text: str, write: Write) -> Quoted:
        names, around = places(text), fixed(text)
        template: list[bytes] = []
        for piece in around[:-1]:
            template += [(_again(template) + quoted(piece, open_end=True)), b""]
        template.append(_again(template) + quoted(around[-1]) if around[-1] else b"")
        where = {
            name: tuple(2 * n + 1 for n, other in enumerate(names) if other == name)
            for name in dict.fromkeys(names)
        }
        return cls(template=tuple(template), slots=tuple(where.items()), write=write)

    def __len__(self) -> int:
        return sum(map(len, self.template))


def quoted(text: str, *, open_end: bool = False) -> bytes:
    """From the start of a line on. With ``open_end`` what follows may begin at the start of a line."""
    if not open_end:
        return _lines(b2a_qp(text.encode(), istext=True))
    body = _room_for_equals(text.encode())
    return _lines(body if not body or body.endswith(b"\n") else body + b"=\n")


def quoted_value(value: str) -> bytes:
    """One line of text, from the start of a line on, with room for the "=" of a soft line break."""
    body = _room_for_equals(value.encode())
    # Should the place be the very end of the body, a space there would be dropped on the way.
    return _lines(body[:-1] + b"=20" if body.endswith(b" ") else body)


def _room_for_equals(raw: bytes) -> bytes:
    """Quoted so that the last line has room for three more characters, which is where "=" was."""
    return b2a_qp(raw + b"=", istext=True)[:-3]


def _again(template: Sequence[bytes]) -> bytes:
    return b"=\r\n" if template else b""


def _lines(body: bytes) -> bytes:
    """With CRLF, no line over 76 and none that begins with a dot."""
    if b"=20\n" in body or b"=09\n" in body:
        body = _TOO_LONG.sub(rb"\1=\n\2", body)
    if body.startswith(b".") or b"\n." in body:
        body = _DOTS.sub(lambda line: _without_dot(line[0]), body)
    return body.replace(b"\n", b"\r\n")


def _without_dot(line: bytes) -> bytes:
    if not line.startswith(b"."):
        return line
    if len(line) + 2 < _LINE:  # "=" may follow
        return b"=2E" + line[1:]
    return b"=2E=\n" + _without_dot(line[1:])


# --------------------------------------------------------------------------- base64


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stretch:
    """Words between two places: ready in base64 for each number of bytes that went before it.

    Base64 takes three bytes at a time, so the piece before borrows 0, 1 or 2 bytes of ``words`` to come out
    even; ``lines[n]`` is what is left after n borrowed ones, in whole lines, and ``rests[n]`` what remains.
    """

    words: bytes
    lines: tuple[bytes, ...]
    rests: tuple[bytes, ...]

    @classmethod
    def of(cls, words: bytes, *, last: bool, shifts: int = 3) -> _Stretch:
        cuts = [len(words) if last else n + (len(words) - n) // _GROUP * _GROUP for n in range(shifts)]
        return cls(
            words=words,
            lines=tuple(base64_lines(words[n:cut]) for n, cut in enumerate(cuts)),
            rests=tuple(words[cut:] for cut in cuts),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shifted:
    """Base64: long stretches are encoded in advance in three shifts, the bytes between for each reader."""

    first: _Stretch
    runs: tuple[tuple[tuple[bytes | str, ...], _Stretch], ...]  # words and names, then what follows them
    write: Write
    encoding: str = "base64"

    @classmethod
    def of(cls, text: str, write: Write) -> Shifted:
        start, *rest = [piece.replace("\n", "\r\n").encode() for piece in fixed(text)]
        runs = _runs(places(text), rest)
        stretches = [_Stretch.of(words, last=n == len(runs)) for n, (_, words) in enumerate(runs, start=1)]
        return cls(
            first=_Stretch.of(start, last=not runs, shifts=1),
            runs=tuple(zip((tuple(run) for run, _ in runs), stretches, strict=True)),
            write=write,
        )

    def pieces(self, values: Mapping[str, str]) -> list[bytes]:
        """Its bytes for one reader, to be joined."""
        pieces, rest = [self.first.lines[0]], self.first.rests[0]
        for run, after in self.runs:
            words = rest + b"".join(self._words(run, values))
            borrowed = -len(words) % 3
            pieces += [base64_lines(words + after.words[:borrowed]), after.lines[borrowed]]
            rest = after.rests[borrowed]
        return pieces

    def _words(self, run: Iterable[bytes | str], values: Mapping[str, str]) -> Iterable[bytes]:
        return (w if isinstance(w, bytes) else self.write(values[w]).encode() for w in run)


def _runs(names: Iterable[str], after: Iterable[bytes]) -> list[tuple[list[bytes | str], bytes]]:
    """Each name with the words after it; words too short to lend from, between two names, join the run."""
    runs: list[tuple[list[bytes | str], bytes]] = []
    for name, words in zip(names, after, strict=True):
        run: list[bytes | str] = [name]
        if runs and len(runs[-1][1]) < _GROUP:
            before, short = runs.pop()
            run = [*before, short, name]
        runs.append((run, words))
    return runs


def base64_lines(data: bytes) -> bytes:
    """Base64 in lines of at most 76 letters, each with its end."""
    whole = b64encode(data)
    return b"".join(whole[start : start + _LINE] + b"\r\n" for start in range(0, len(whole), _LINE))


# --------------------------------------------------------------------------- all of it


@dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """All that stands behind a letter's head: bytes that its readers share, and places among them.

    ``pieces`` takes a one-line text for every place; what it returns is to be joined. The shared pieces are
    the same objects for all readers, so nothing of them is copied before they are on their way.
    """

    template: tuple[bytes, ...]
    quoted: tuple[
        tuple[str, tuple[tuple[int, Write], ...]], ...
    ]  # a name, where it goes and how it is written
    shifted: tuple[tuple[int, Shifted], ...]

    @classmethod
    def of(cls, parts: Iterable[bytes | Quoted | Shifted]) -> Body:
        template: list[bytes] = []
        quoted: dict[str, list[tuple[int, Write]]] = {}
        shifted: list[tuple[int, Shifted]] = []
        open_end = False  # whether more bytes may join the last piece
        for part in parts:
            if isinstance(part, Shifted):
                shifted.append((len(template), part))
                template.append(b"")
                open_end = False
                continue
            first, *rest = (part,) if isinstance(part, bytes) else part.template
            if open_end:
                first = template.pop() + first
            if isinstance(part, Quoted):
                for name, where in part.slots:
                    places_of = ((len(template) + place, part.write) for place in where)
                    quoted.setdefault(name, []).extend(places_of)
            template += [first, *rest]
            open_end = True
        return cls(
            template=tuple(template),
            quoted=tuple((name, tuple(where)) for name, where in quoted.items()),
            shifted=tuple(shifted),
        )

    @property
    def start(self) -> bytes:
        """What stands before the first place, if anything does."""
        return self.template[0]

    def pieces(self, values: Mapping[str, str]) -> list[bytes]:
        pieces = list(self.template)
        for name, where in self.quoted:
            value = values[name]
            if _PLAIN.fullmatch(value):
                piece = value.encode()
                for place, _ in where:
                    pieces[place] = piece
            else:
                for place, write in where:
                    pieces[place] = quoted_value(write(value))
        for place, body in reversed(self.shifted):  # from the end on: what stands before keeps its place
            pieces[place : place + 1] = body.pieces(values)
        return pieces
