"""Names that an item takes from elsewhere: the channels of bot.toml, and the codes of languages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache

from bot.model import Finding, Item, Level, speaks

Destinations = Mapping[str, tuple[str, ...]]  # newsletters and channels by name, with their languages


def name_findings(item: Item, destinations: Destinations) -> Iterator[Finding]:
    """A channel or newsletter that does not exist, a language that does not, and one that nobody takes."""
    for name in item.channels:
        if name not in destinations:
            message = f"there is no channel or newsletter '{name}'; {_meant(name, destinations)}"
            yield Finding(level=Level.BLOCK, rule="channels.unknown", message=message, path=item.path)
    if problem := language_problem(item.lang):
        yield Finding(level=Level.BLOCK, rule="lang.unknown", message=problem, path=item.path)
    elif destinations and not any(
        speaks(item.lang, langs) for name, langs in destinations.items() if item.is_for(name)
    ):
        message = f"nothing that it may go to takes the language '{item.lang}'; it will not go out"
        yield Finding(level=Level.WARN, rule="lang.unserved", message=message, path=item.path)


def _meant(name: str, destinations: Destinations) -> str:
    near = get_close_matches(name.casefold(), destinations, n=1)
    return (
        f"did you mean '{near[0]}'?" if near else f"use {' or '.join(destinations) or 'bot.toml to make one'}"
    )


@cache
def language_problem(tag: str) -> str:
    """Why the language tag names nothing, with what was meant; empty when it does, or may.

    ISO 639-1 and 3166-1 are short and all in CLDR, so a code of two letters that CLDR lacks is a slip. Of the
    thousands with three letters CLDR names a few hundred: they pass.
    """
    # Late: Babel's tables take a moment, and most commands need none.
    from babel import Locale

    english = Locale("en")
    language, *others = tag.split("-")
    if len(language) == 2 and language.lower() not in english.languages:
        return f"there is no language '{language}'; {_language_meant(language, english.languages)}"
    for part in others:
        if len(part) == 1:
            break  # an extension: what follows is no country
        if len(part) == 2 and part.upper() not in english.territories:
            return f"there is no country '{part}' in the language '{tag}'; {_country_meant(part, tag)}"
    return ""


def _language_meant(code: str, names: Mapping[str, str]) -> str:
    """A country's code stands for the language that most speak there ("jp"), else the name decides ("sp")."""
    from babel.core import get_global

    spoken = get_global("likely_subtags").get(f"und_{code.upper()}", "").split("_")[0]
    begins = [
        known for known, name in names.items() if len(known) == 2 and name.lower().startswith(code.lower())
    ]
    meant = spoken or (begins[0] if len(begins) == 1 else "")
    return f"did you mean '{meant}'?" if meant else "write its code: en, es, th, pt-BR"


def _country_meant(code: str, tag: str) -> str:
    from babel.core import get_global

    (meant, *_) = get_global("territory_aliases").get(code.upper(), [""])
    advice = tag.replace(f"-{code}", f"-{meant}" if meant else "")
    return f"did you mean '{advice}'?" if meant else f"write '{advice}'"
