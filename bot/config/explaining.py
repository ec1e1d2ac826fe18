"""What is wrong with the settings, in words: where it was written, which key, what would be right."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bot.config.settings import Settings
from bot.config.tables import (
    BouncesTable,
    HookTable,
    NewsletterTable,
    PublicationTable,
    ReaderTable,
    RehearsalTable,
    SiteTable,
)
from bot.errors import ConfigError
from bot.pace import Guard, PaceRules, Quota, Ramp

FILE = "bot.toml"
_MISSPELT = {"extra_forbidden", "unexpected_keyword_argument"}  # the second one is a dataclass's word


def explained(
    error: ValidationError, workspace: Path, *, prefix: Sequence[str] = (), model: type[BaseModel] = Settings
) -> ConfigError:
    """The first problem of a validation in words: where it was written, which key, what would be right."""
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt key is also a missing one: the spelling is what helps.
    first = min(problems, key=lambda problem: problem["type"] not in _MISSPELT)
    inner = [str(part) for part in first["loc"]]
    loc = [*prefix, *inner]
    if first["type"] in _MISSPELT:
        problem, advice = "is not a setting", did_you_mean(inner[-1], _fields_at(model, inner[:-1]))
    elif first["type"] == "missing" and inner[0] == "channels":
        problem, advice = "is missing", f"every [{'.'.join(loc[:-1])}] in {FILE} names its type"
    elif first["type"] == "missing":
        problem, advice = "is missing", "add it"
    else:
        problem, advice = first["msg"].removeprefix("Value error, "), ""
    return ConfigError(_written_in(loc, workspace), ".".join(loc), problem, advice)


def _fields_at(model: type[BaseModel], loc: Sequence[str]) -> Iterable[str]:
    if loc[:1] == ["channels"] and loc[2:3] == ["pace"]:
        return [field.name for field in fields(_pace_table(loc[3:]))]
    tables: dict[str, type[BaseModel]] = {
        "publication": PublicationTable,
        "newsletters": NewsletterTable,
        "rehearsal": RehearsalTable,
        "site": SiteTable,
        "bounces": BouncesTable,
        "hooks": HookTable,
    }
    if loc and loc[-1].isdigit():
        return ReaderTable.model_fields
    return (tables.get(loc[0], model) if loc else model).model_fields


def _pace_table(loc: Sequence[str]) -> type[Quota | Ramp | Guard]:
    inner: dict[str, type[Quota | Ramp | Guard]] = {"ramp": Ramp, "pause": Guard, "domains": Quota}
    return inner[loc[0]] if loc else PaceRules


def did_you_mean(key: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"settings here: {', '.join(names)}"


def _written_in(loc: Sequence[str], workspace: Path) -> str:
    variable = "BOT_" + "__".join(loc).upper()
    if any(key.upper() == variable for key in os.environ):
        return f"environment variable {variable}"
    dotenv = workspace / ".env"
    return str(dotenv if variable in dotenv_names(dotenv) else workspace / FILE)


def dotenv_names(dotenv: Path) -> list[str]:
    """The names that a ``.env`` file gives a value."""
    if not dotenv.is_file():
        return []
    given = r"(?m)^[ \t]*(?:export[ \t]+)?(BOT_\w+)[ \t]*=[ \t]*(?=\S)"  # an empty value is not given
    return re.findall(given, dotenv.read_text("utf-8-sig"))
