"""How long lists of patterns are written here: one a line; an indented line goes on with the one above."""

from __future__ import annotations

import re


def alternatives(lines: str) -> str:
    """One pattern that finds any of them."""
    return "|".join(line for line in re.sub(r"\n +", "", lines).splitlines() if line)
