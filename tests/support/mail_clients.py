"""A lint of compiled mails against what mail programs show (``tests/data/mail_clients.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent.parent / "data" / "mail_clients.toml"

_FOR_WORD_ALONE = re.compile(r"<!--\[if (?:mso|lte)[^>]*\]>.*?<!\[endif\]-->", re.DOTALL)
_BLOCK = re.compile(r"([^{}]*)\{([^{}]*)\}")
_AT_MEDIA = re.compile(r"@media([^{]*)\{((?:[^{}]*\{[^{}]*\})*[^{}]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """Something that a mail asks of the program that shows it."""

    kind: str  # a table of the file
    name: str


@cache
def known() -> Mapping[str, Any]:
    """The file."""
    return tomllib.loads(TABLE.read_text("utf-8"))


def faults(html: str) -> list[str]:
    """A line for each thing in the mail that a reader would miss, with the programs that lack it."""
    return sorted({line for use in uses(html) if (line := _fault(use))})


def _fault(use: Use) -> str:
    table = known()[use.kind]
    if use.name in table.get("everywhere", ()):
        return ""
    entry = table.get(use.name)
    if entry is None:
        return "" if use.kind == "values" else f"{use.kind}: {use.name} is not in {TABLE.name}; look it up"
    if "without" in entry:
        return ""
    names = ", ".join(known()["clients"][client] for client in entry["lacks"])
    return f"{use.kind}: {use.name} is unknown to {names}"


def uses(html: str) -> Iterator[Use]:
    """Everything that the mail uses, tag by tag and rule by rule."""
    mail = _Mail(html)
    for kind, name in mail.seen:
        yield Use(kind=kind, name=name)
    for style in mail.styles:
        yield from _of_style(style)


class _Mail(HTMLParser):
    """Collects elements, attributes, inline declarations and style sheets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[tuple[str, str]] = set()
        self.styles: list[str] = []
        self._in_style = False
        self.feed(_FOR_WORD_ALONE.sub("", html))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(("elements", tag))
        self.seen |= {("attributes", name) for name, _ in attrs}
        for value in (value or "" for name, value in attrs if name == "style"):
            self.seen |= {(use.kind, use.name) for use in _of_declarations(value)}
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles.append(data)


def _of_style(style: str) -> Iterator[Use]:
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    for condition, rules in _AT_MEDIA.findall(style):
        features = re.findall(r"\(\s*([a-z-]+)", condition) or ["all"]
        yield from (Use(kind="media", name=feature) for feature in features)
        yield from _of_rules(rules)
    yield from _of_rules(_AT_MEDIA.sub("", style))


def _of_rules(rules: str) -> Iterator[Use]:
    for selector, declarations in _BLOCK.findall(rules):
        yield from _of_selector(selector.strip())
        yield from _of_declarations(declarations)


def _of_selector(selector: str) -> Iterator[Use]:
    if selector.startswith("@"):
        yield Use(kind="media", name=selector)
    if "[" in selector:
        yield Use(kind="selectors", name="[attribute]")
    if ">" in selector:
        yield Use(kind="selectors", name="child")
    for sign in "+~*":
        if sign in selector:
            yield Use(kind="selectors", name=sign)
    yield from (Use(kind="selectors", name=name) for name in re.findall(r"::?[a-z-]+", selector))


def _of_declarations(text: str) -> Iterator[Use]:
    for declaration in filter(str.strip, text.split(";")):
        name, _, value = (part.strip().lower() for part in declaration.partition(":"))
        yield Use(kind="properties", name=name)
        yield Use(kind="values", name=f"{name}: {value.removesuffix('!important').strip()}")
        if name.startswith("margin") and re.search(r"(?:^|\s)-\d", value):
            yield Use(kind="values", name="margin: negative")
