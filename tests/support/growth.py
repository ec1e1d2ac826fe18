"""How the work of a regular expression grows with its text: texts made from its own pieces, at n and 4n.

Judged is a ratio of the processor time of this thread: four times the text is four times the work where it is
linear, sixteen times where it is quadratic, and the bound lies between. What is so quick that a quadratic
pattern could not be is not measured at all, and a bad ratio has to come out twice.
"""

from __future__ import annotations

import gc
import re
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import regex

SHORT = 3_000  # n; 4n is four times as long, 2n is for the table
BOUND = 8.0  # 4n beside n: 4 is linear, 16 is quadratic
QUICK = 0.004  # seconds for 4n: 100 times less than the cheapest quadratic pattern needs
ABSURD = 0.1  # seconds for a quarter of n: a hundred times what the dearest linear pattern needs
TRIES = 3
Parser = re._parser  # type: ignore[attr-defined]
MANY = int(Parser.MAXREPEAT)


# --------------------------------------------------------------------------- the measure


def work(ask: Callable[[], object], tries: int = 1) -> float:
    """Seconds of this thread's processor; the least of some tries."""
    was = gc.isenabled()
    gc.disable()
    try:
        return min(_once(ask) for _ in range(tries))
    finally:
        if was:
            gc.enable()


def _once(ask: Callable[[], object]) -> float:
    start = time.thread_time()
    ask()
    return time.thread_time() - start


def growth(ask: Callable[[str], object], text: Callable[[int], str], n: int = SHORT) -> float:
    """How much more work 4n is than n; 4 where it takes no time worth speaking of."""
    if work(lambda: ask(text(n // 4))) > ABSURD:
        return float("inf")  # cubic or worse: the rest would take minutes
    small, large = text(n), text(4 * n)
    long = work(lambda: ask(large))
    if long < QUICK:
        return 4.0
    ratio = long / max(work(lambda: ask(small), TRIES), 1e-7)
    if ratio < BOUND or long > 1:
        return ratio
    return work(lambda: ask(large), TRIES) / max(work(lambda: ask(small), TRIES), 1e-7)


def asking(compiled: Any, way: str) -> Callable[[str], object]:
    """The pattern put to a text in that way, to the end."""
    binary = isinstance(compiled.pattern, bytes)

    def ask(text: str) -> object:
        given = text.encode("utf-8", "surrogatepass") if binary else text
        if way in ("sub", "subn"):
            return compiled.sub(b"" if binary else "", given)
        if way == "finditer":
            return deque(compiled.finditer(given), maxlen=0)
        return getattr(compiled, way)(given)

    return ask


# --------------------------------------------------------------------------- the texts

EVERYWHERE = (
    " ",
    "\n",
    "-",
    " \n",
    "\r\n",
    "a",
    "0",
    ".",
    "@",
    "<",
    "\t",
    "a ",
    "a@",
    "a.",
    "<a",
    "é",
    "\x00",
    "--\n",
    "- ",
)


def texts(compiled: Any, seed: int = 1) -> Iterator[Callable[[int], str]]:
    """Texts that hurt: each of its pieces repeated, behind what nearly matches, and before a bad end."""
    pieces = list(dict.fromkeys([*EVERYWHERE, *_own_pieces(compiled, Random(seed))]))
    for piece in pieces:
        yield _repeated(piece, "", "")
        yield _repeated(piece, "", "\0!\n")
    for prefix, pump, rest in dict.fromkeys(_pumped(compiled, Random(seed))):
        yield _repeated(pump, prefix, "\0!\n")
        yield _repeated(prefix + pump, "", rest + "\0")
        yield _repeated(prefix, "", "\0")


def _repeated(piece: str, before: str, after: str) -> Callable[[int], str]:
    def text(n: int) -> str:
        return before + piece * (n // max(1, len(piece))) + after

    text.__doc__ = f"{before!r} + {piece!r} * n + {after!r}"
    return text


def _tree(compiled: Any) -> Any | None:
    source = compiled.pattern
    source = source.decode("latin-1") if isinstance(source, bytes) else source
    if isinstance(compiled, regex.Pattern):
        source = _POSSIBLE.sub(
            lambda found: _LIKE.get(found[1], "[^\\\\W\\\\d_]"), source.replace("(?V1)", "")
        )
        source = source.replace(r"\X", "[^\\n]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # sets in sets, which are the other engine's
        try:
            return Parser.parse(source, compiled.flags & _FLAGS)
        except re.error:
            return None


_POSSIBLE = re.compile(r"\\[pP]\{(\w+)[^}]*\}")
_LIKE = {"P": "[.,;!]", "Ps": "[(]", "Pi": "[«]", "Pd": "[-]", "S": "[+=]"}
_FLAGS = int(re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE)


def _own_pieces(compiled: Any, random: Random) -> Iterator[str]:
    """Its letters, its words, and what it matches, cut off at every point."""
    tree = _tree(compiled)
    if tree is None:
        source = str(compiled.pattern)
        yield from dict.fromkeys(source)
        yield from re.findall(r"\w{2,20}", source)
        return
    for branch in _branches(tree, random):
        for _ in range(2):
            whole = [_sample([item], random) for item in branch]
            for end in range(1, len(whole) + 1):
                yield "".join(whole[:end])
                yield whole[end - 1]
                yield "".join(whole[:end])[:-1]


def _pumped(compiled: Any, random: Random) -> Iterator[tuple[str, str, str]]:
    """For each repeat: what comes before it, one round of it, and what should come after."""
    tree = _tree(compiled)
    if tree is None:
        return
    for branch in _branches(tree, random):
        yield from _pumps(branch, "", random)


def _pumps(items: list[Any], before: str, random: Random) -> Iterator[tuple[str, str, str]]:
    for at, item in enumerate(items):
        op, given = str(item[0]), item[1]
        start = before + _sample(items[:at], random)
        if op.endswith("REPEAT"):
            if given[1] > 3:
                for _ in range(3):
                    yield start, _sample(list(given[2]), random), _sample(items[at + 1 :], random)
            yield from _pumps(list(given[2]), start, random)
        elif op == "SUBPATTERN":
            for branch in _branches(given[3], random):
                yield from _pumps(branch, start, random)
        elif op == "ATOMIC_GROUP":
            yield from _pumps(list(given), start, random)
        elif op.startswith("ASSERT"):
            yield from _pumps(list(given[1]), start, random)
        elif op == "BRANCH":
            for branch in given[1]:
                yield from _pumps(list(branch), start, random)


def _branches(tree: Any, random: Random) -> Iterator[list[Any]]:
    """The alternatives of a pattern, one by one."""
    items = list(tree)
    for at, (op, given) in enumerate(items):
        inner = given[1] if str(op) == "BRANCH" else None
        if str(op) == "SUBPATTERN" and len(given[3]) == 1 and str(given[3][0][0]) == "BRANCH":
            inner = given[3][0][1][1]
        if inner and len(inner) > 3:
            for branch in inner:
                yield items[:at] + list(branch) + items[at + 1 :]
            return
    yield items


def _sample(items: Any, random: Random) -> str:
    return "".join(_one(str(op), given, random) for op, given in items)


def _one(op: str, given: Any, random: Random) -> str:
    if op == "LITERAL":
        return chr(given)
    if op == "NOT_LITERAL":
        return "a" if given != ord("a") else "b"
    if op == "ANY":
        return random.choice("a -")
    if op == "IN":
        return _of_set(given, random)
    if op == "BRANCH":
        return _sample(random.choice(given[1]), random)
    if op == "SUBPATTERN":
        return _sample(given[3], random)
    if op == "ATOMIC_GROUP":
        return _sample(given, random)
    if op.endswith("REPEAT"):
        least, most = int(given[0]), min(int(given[1]), MANY)
        return "".join(_sample(given[2], random) for _ in range(random.randint(least, min(most, least + 2))))
    if op == "ASSERT":
        return _sample(given[1], random) if given[0] > 0 and random.random() < 0.5 else ""
    return ""  # anchors, what must not follow, what was matched before


def _of_set(members: Any, random: Random) -> str:
    negated = str(members[0][0]) == "NEGATE"
    if negated:
        inside = re.compile("".join(_written(members)))
        return random.choice([char for char in "a-. 0>@é\n" if not inside.match(char)] or ["\u4e00"])
    op, given = random.choice(members)
    if str(op) == "RANGE":
        return chr(random.choice((given[0], given[1])))
    if str(op) == "CATEGORY":
        return random.choice(_CATEGORIES.get(str(given), "a"))
    return chr(given)


def _written(members: Any) -> Iterator[str]:
    yield "["
    for op, given in members[1:]:
        if str(op) == "RANGE":
            yield f"{re.escape(chr(given[0]))}-{re.escape(chr(given[1]))}"
        elif str(op) == "CATEGORY":
            yield _CLASSES[str(given)]
        else:
            yield re.escape(chr(given))
    yield "]"


_CATEGORIES = {
    "CATEGORY_DIGIT": "05",
    "CATEGORY_NOT_DIGIT": "a ",
    "CATEGORY_SPACE": " \n\t",
    "CATEGORY_NOT_SPACE": "a-",
    "CATEGORY_WORD": "a0_",
    "CATEGORY_NOT_WORD": "- ",
}
_CLASSES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
