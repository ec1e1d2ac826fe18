"""What the columns of a table are called, in whatever program and language -> where each value stands."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

from bot.audience.cells import address_of, language_of, spoken
from bot.errors import AudienceError

NOWHERE = sys.maxsize  # a column that is not there stands beyond the end of every row


def _names(text: str) -> frozenset[str]:
    return frozenset(map(spoken, text.split("|")))


# Each group before the next: a table with "First name" and "Name" greets by the first.
_ADDRESS = (
    "email|e mail|email address|e mail address|emailaddress|mail|mail address|user email|contact email"
    "|subscriber email|subscriber|e mail 1 value|email 1|primary email|correo|correo electrónico"
    "|correo electronico"
    "|dirección de correo electrónico|courriel|adresse e mail|adresse email|adresse mail|adresse électronique"
    "|e mail adresse|email adresse|mailadresse|mail adresse|endereço de email|endereço de e mail"
    "|correio eletrônico|correio eletrónico|indirizzo email|posta elettronica|e mailadres|emailadres|e post"
    "|e posta|อีเมล|อีเมล์|ที่อยู่อีเมล|البريد الإلكتروني|البريد الالكتروني|بريد إلكتروني"
    "|عنوان البريد الإلكتروني"
    "|электронная почта|эл почта|почта|邮箱|电子邮件|電子郵件|メール|メールアドレス|이메일",
    "address|addresses",
)
_NAME = (
    "first name|firstname|fname|given name|forename|vorname|prénom|prenom|nombre|primeiro nome|nome proprio"
    "|ชื่อจริง|الاسم الأول|имя|名",
    "name|full name|fullname|display name|contact name|nom|nome|nombre completo|nom complet|nome completo"
    "|naam|namn|ชื่อ|ชื่อ นามสกุล|الاسم|الاسم الكامل|名前|氏名|姓名|이름",
)
_LANG = (
    "lang|language|locale|lang code|language code|preferred language|idioma|langue|sprache|língua|lingua"
    "|taal|ภาษา|اللغة|язык|言語|语言|語言|언어",
)


class Columns(NamedTuple):
    """Where each value stands."""

    address: int
    name: int = NOWHERE
    lang: int = NOWHERE
    newsletters: int = NOWHERE
    preferences: int = NOWHERE
    attributes: int = NOWHERE

    @property
    def of_the_person(self) -> frozenset[int]:
        """The columns that say who somebody is and what they want here, not how they stand elsewhere."""
        return frozenset(place for place in self if place < NOWHERE)

    @property
    def says_more(self) -> bool:
        """Whether a row says more of a reader than address, name and language."""
        return min(self.newsletters, self.preferences, self.attributes) < NOWHERE


class Heading(NamedTuple):
    """The columns, and whether the first row is a person already."""

    columns: Columns
    is_person: bool
    names: frozenset[str]  # normalised, to tell whose export it is
    titles: tuple[str, ...] = ()
    above: int = 0  # filled rows above the titles: what the list is called


def read_heading(rows: Sequence[Sequence[str]], place: str) -> Heading:
    """From the first rows of a table. AudienceError when no column holds addresses."""
    above = _rows_above(rows)
    return _read_heading(rows[above:], place)._replace(above=above)


def _rows_above(rows: Sequence[Sequence[str]]) -> int:
    """How many rows stand above the titles: Google Groups begins with the name of the group."""
    for number, row in enumerate(rows):
        if any("@" in cell for cell in row):
            return 0
        if _find([spoken(title) for title in row], _ADDRESS) != NOWHERE:
            return number
    return 0


def _read_heading(rows: Sequence[Sequence[str]], place: str) -> Heading:
    titles = [spoken(title) for title in rows[0]] if rows else []
    address = _find(titles, _ADDRESS)
    if address == NOWHERE and rows and (at := _addressed(rows[0])) is not None:
        return Heading(_guessed(rows[0], at), is_person=True, names=frozenset())
    if address == NOWHERE and len(rows) > 1 and (at := _addressed(rows[1])) is not None:
        if at < len(rows[0]) and "@" in rows[0][at]:  # somebody whose address is mistyped
            return Heading(_guessed(rows[1], at), is_person=True, names=frozenset())
        address = at  # a title in a language that is not listed
    if address == NOWHERE:
        raise AudienceError(
            f"{place}:1: no column is called 'email' or 'address', and none holds addresses; "
            "name the columns in the first line"
        )
    return Heading(_columns(titles, address), False, frozenset(titles), tuple(rows[0]))


def _find(titles: Sequence[str], groups: Sequence[str]) -> int:
    for group in groups:
        wanted = _names(group)
        for place, title in enumerate(titles):
            if title in wanted:
                return place
    return NOWHERE


def _columns(titles: Sequence[str], address: int) -> Columns:
    return Columns(
        address=address,
        name=_find(titles, _NAME),
        lang=_find(titles, _LANG),
        newsletters=_find(titles, ("newsletters",)),
        preferences=_find(titles, ("preferences",)),
        attributes=_find(titles, ("attributes",)),
    )


def _addressed(row: Sequence[str]) -> int | None:
    """The only cell that is an address."""
    found = [place for place, cell in enumerate(row) if "@" in cell and _is_address(cell)]
    return found[0] if len(found) == 1 else None


def _is_address(cell: str) -> bool:
    try:
        address_of(cell)
    except AudienceError:
        return False
    return True


def _guessed(row: Sequence[str], address: int) -> Columns:
    """Without titles: beside the address a language is what looks like its tag, and a name the only rest."""
    rest = [place for place, cell in enumerate(row) if place != address and cell.strip()]
    langs = [place for place in rest if _looks_like_a_tag(row[place].strip()) and language_of(row[place])]
    names = [place for place in rest if place not in langs[:1]]
    return Columns(
        address=address,
        name=names[0] if len(names) == 1 else NOWHERE,
        lang=langs[0] if langs else NOWHERE,
    )


def _looks_like_a_tag(text: str) -> bool:
    """ "li" and "pt-BR", but not the name "Li"."""
    return (len(text) == 2 and text.islower()) or (len(text) == 5 and text[2] in "-_")
