"""Whom a strange bounce speaks of, by the rules that Mailman gathered (flufl.bounce). Never how bad it is."""

from __future__ import annotations

import logging

from flufl.bounce import all_failures

from bot.audience.bounces.opened import TROUBLE, parsed

LINES = 1_500  # that are shown to rules which we did not write: they ask every line for everything
WIDTH = 500

logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)  # it logs what it cannot read, in full


def guessed_address(raw: bytes) -> str | None:
    """The one address that could not be reached; None where it is not just one."""
    mail = parsed(raw, lines=LINES, width=WIDTH)
    if mail is None:
        return None
    try:
        temporary, permanent = all_failures(mail)
    except TROUBLE:
        return None
    found = {address.decode("ascii", "replace").lower() for address in (*temporary, *permanent)}
    return found.pop() if len(found) == 1 else None
