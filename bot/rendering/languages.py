"""What rendering must know about languages: direction, dates, plural forms and the house's own words.

A language is a BCP 47 tag. CLDR (through Babel) says which script a language is written in; the few codes
that CLDR does not list stand here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.dates import format_date

from bot.errors import TemplateError
from bot.files import file_inside

Direction = Literal["ltr", "rtl"]

FALLBACK = "en"

# Scripts of ISO 15924 that are written from right to left.
RTL_SCRIPTS = frozenset(
    """
    Adlm Arab Aran Armi Avst Chrs Cprt Elym Gara Hatr Hebr Hung Khar Lydi Mand Mani Mend Merc Mero Narb
    Nbat Nkoo Orkh Palm Phli Phlp Phnx Prti Rohg Samr Sarb Sidt Sogd Sogo Syrc Syre Syrj Syrn Thaa Todr
    Yezi
    """.split()  # noqa: SIM905
)

# Languages written from right to left that CLDR's likely subtags may not list (ISO 639-2 and -3 codes).
RTL_LANGUAGES = frozenset(
    """
    aao abh abv acm acq acw acx acy adf aeb afb aii aij ajp apc apd ara arb arc arq ars ary arz auz avl
    ayh ayl ayn ayp azb bal bcc bgn bgp bqi brh ckb cld div fas glk haz hbo heb hnd hno iw ji kas khw
    lah lki lrc luz mzn nqo ota pbt pbu per pes pga phn pnb prs pst pus rhg sdh shu skr smp snd ssh syr
    tru uig urd xpu ydd yid
    """.split()  # noqa: SIM905
)

# In English without a country the day goes first, as nearly everywhere outside the United States.
_DATE_LOCALES = {"en": "en-001"}


def direction(lang: str) -> Direction:
    """Whether text in this language runs from left to right or from right to left."""
    language, script, region = _subtags(lang)
    script = script or _likely_script(language, region)
    if script:
        return "rtl" if script in RTL_SCRIPTS else "ltr"
    return "rtl" if language in RTL_LANGUAGES else "ltr"


def long_date(day: date, lang: str) -> str:
    """The day in words, "27 November 2026"; as an ISO date where the language is unknown."""
    locale = _locale(_DATE_LOCALES.get(lang.casefold(), lang))
    return format_date(day, format="long", locale=locale) if locale else day.isoformat()


def native_name(lang: str) -> str:
    """What its speakers call the language: "español"; the tag itself where CLDR does not know it."""
    locale = _locale(lang)
    name = locale.get_display_name(locale) if locale else None
    return name[:1].upper() + name[1:] if name else lang


def strings(lang: str, folders: Sequence[Path]) -> Mapping[str, str]:
    """The house's own words: English, overlaid by the language, then by its regional form.

    Earlier folders win within a language. ``words["lang"]`` and ``words["dir"]`` say which language the
    words are in after all, so that a template can mark them.
    """
    words: dict[str, str] = {}
    for tag in (FALLBACK, *_lookup(lang)):
        for folder in reversed(folders):
            if path := file_inside(folder, f"strings/{tag}.toml"):
                words |= _read(path, path.stat().st_mtime_ns) | {"lang": tag, "dir": direction(tag)}
    return MappingProxyType(words)


def fill(sentence: str, **values: object) -> str:
    """Put values in the place of ``{name}``; anything else in braces stays as it is."""
    for name, value in values.items():
        sentence = sentence.replace(f"{{{name}}}", str(value))
    return sentence


def counted(words: Mapping[str, str], key: str, count: int) -> str:
    """The plural form that the words' language asks for: ``items_one``, ``items_few``, ``items_other``."""
    locale = _locale(words.get("lang", FALLBACK))
    form = locale.plural_form(count) if locale else "other"
    return fill(words.get(f"{key}_{form}") or words[f"{key}_other"], count=count)


def _subtags(lang: str) -> tuple[str, str, str]:
    """Language, script and region of a tag; empty where it names none."""
    language, *rest = lang.replace("_", "-").split("-")
    script = next((part.title() for part in rest[:2] if len(part) == 4 and part.isalpha()), "")
    region = next(
        (part.upper() for part in rest if len(part) == 2 or (len(part) == 3 and part.isdigit())), ""
    )
    return language.casefold(), script, region


def _likely_script(language: str, region: str) -> str:
    likely: Mapping[str, str] = get_global("likely_subtags")
    full = likely.get(f"{language}_{region}") or likely.get(language) or ""
    return next((part for part in full.split("_") if len(part) == 4), "")


def _lookup(lang: str) -> Iterator[str]:
    """From the general to the special: "pt", then "pt-BR"; ISO 639-3 names of one language first."""
    parts = lang.replace("_", "-").split("-")
    alias: str | None = get_global("language_aliases").get(parts[0].casefold())
    if alias:
        yield alias.split("_")[0]
    for count in range(1, len(parts) + 1):
        yield "-".join([parts[0].casefold(), *parts[1:count]])


@lru_cache(maxsize=256)
def _locale(lang: str) -> Locale | None:
    """Babel's locale for the tag or for its language alone, else None."""
    language, _script, _region = _subtags(lang)
    alias = get_global("language_aliases").get(language)
    for tag in (lang.replace("_", "-"), alias and alias.replace("_", "-"), language):
        try:
            if tag:
                return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return None


@lru_cache(maxsize=64)
def _read(path: Path, _mtime_ns: int) -> dict[str, str]:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TemplateError(
            path, problem=str(error), advice='write lines like: contents = "In this issue"'
        ) from error
    wrong = [key for key, value in found.items() if not isinstance(value, str)]
    if wrong:
        raise TemplateError(
            path, problem=f"{wrong[0]!r} is not text", advice="put the value in double quotes"
        )
    return found
