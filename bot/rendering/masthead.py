"""Who a mail comes from, at its top and at its foot: the logo and the imprint."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bot.errors import UserError
from bot.model import Publication
from bot.rendering.markdown import text_direction
from bot.rendering.pictures import Picture, UnusablePictureError, picture_in

_WEB_ONLY = (".svg",)


def logo_of(publication: Publication) -> Picture | None:
    """The publication's logo; None without one, and where mail cannot show it."""
    path = publication.logo
    if path is None or path.suffix.lower() in _WEB_ONLY:
        return None
    try:
        return picture_in(path.parent, path, called="logo")
    except UnusablePictureError as error:
        raise UserError(f"{error.problem}; {error.advice}") from error


def imprint(publisher: str, lines: Sequence[str]) -> str:
    """Who sends it and from where, on one line; the name once, also where the address begins with it."""
    address, name = ", ".join(lines).casefold(), publisher.casefold()
    named = address.startswith(name) and not address[len(name) : len(name) + 1].isalnum()
    pieces = lines if named else [publisher, *lines]
    return _comma("".join(pieces)).join(pieces)


def _comma(text: str) -> str:
    """The comma of the script that most of the text is in."""
    arabic = text_direction(text) == "rtl" and re.search("[\u0600-\u06ff]", text)
    return "\u060c " if arabic else ", "
