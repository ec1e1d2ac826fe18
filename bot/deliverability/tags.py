"""Lists of ``tag=value``, as DKIM (RFC 6376, 3.2) and DMARC have them; and long TXT records."""

from __future__ import annotations

import re

LONGEST_STRING = 255  # bytes of one string of a TXT record
_TAG = re.compile(r"\s*+([A-Za-z][A-Za-z0-9_]*+)\s*+=(.*)", re.DOTALL)


class TagError(ValueError):
    """Not such a list; says which piece."""


def read_tags(text: str) -> dict[str, str]:
    """In their order, names in small letters. TagError for no tag, and for one that comes twice."""
    tags, problems = read_loosely(text)
    if problems:
        raise TagError(problems[0])
    return tags


def read_loosely(text: str) -> tuple[dict[str, str], list[str]]:
    """What can be read, and what cannot, in words."""
    tags: dict[str, str] = {}
    problems: list[str] = []
    for piece in filter(str.strip, text.split(";")):
        match = _TAG.fullmatch(piece)
        if match is None:
            problems.append(f"{piece.strip()[:40]!r} is no tag=value")
        elif match[1].lower() in tags:
            problems.append(f"{match[1].lower()}= stands in it twice")
        else:
            tags[match[1].lower()] = match[2].strip()
    return tags, problems


def txt_strings(text: str) -> list[str]:
    """A record in pieces of at most 255 bytes, as a zone file wants them; receivers put them together."""
    return [text[start : start + LONGEST_STRING] for start in range(0, len(text), LONGEST_STRING)] or [""]


def zone_line(name: str, kind: str, value: str) -> str:
    """One record as a line of a zone file, its name absolute."""
    if kind == "TXT":
        quoted = (piece.replace("\\", "\\\\").replace('"', '\\"') for piece in txt_strings(value))
        value = " ".join(f'"{piece}"' for piece in quoted)
    return f"{name}. IN {kind} {value}"
