"""Writes the tables of the docs that the program itself knows best: `python docs/tables.py`.

Each table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; a test fails when one is out of date.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bot.channels.registry import channel_names, channel_type
from bot.cli.main import COMMANDS
from bot.store.schema import metadata

HERE = Path(__file__).parent


def options() -> str:
    """What ``[channels.NAME]`` may hold, for each type."""
    parts = []
    for name in channel_names():
        kind = channel_type(name)
        fields = kind.options.model_fields if kind else {}
        rows = [_option(key, field) for key, field in fields.items()]
        parts.append(
            "\n".join([f'`type = "{name}"`', "", "| key | default | what it is |", "|---|---|---|", *rows])
        )
    return "\n\n".join(parts)


def _option(key: str, field: FieldInfo) -> str:
    if field.annotation is SecretStr:
        return f"| `{key}` | in `.env` | {field.description} |"
    default = "needed" if field.is_required() else _toml(field.default)
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    meaning = f"{field.description}" + (f"; one of {', '.join(f'`{c}`' for c in choices)}" if choices else "")
    return f"| `{key}` | {default} | {meaning} |"


def _toml(value: object) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"


def commands() -> str:
    """Every command with its line of help."""
    rows = [f"| `bot {name}` | {text} |" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


# What a table holds of people, why, and how long.
KEPT = {
    "subscriber": ("to write to them", "until they leave the last newsletter"),
    "subscription": ("which newsletters they get", "until they leave it"),
    "preference": ("how they want it, and a pause", "until they leave it"),
    "suppression": (
        "so that no list brings back who left; of an erased person only a keyed hash",
        "until they confirm again",
    ),
    "signup": ("an address that somebody typed into the form", "7 days"),
    "consent": (
        "the proof of who agreed to what, and of who left; the network instead of the IP address",
        "until they are erased",
    ),
    "wording": ("what they agreed to, word for word; nothing of a person", "always"),
    "erasing": ("whose proof may be deleted; empty outside an erasure", "a moment"),
    "knock": ("how often the form was sent from where and for whom, as keyed hashes", "2 days"),
    "used_stamp": ("that a form was sent, so that it is not sent twice; not who sent it", "1 day"),
    "bounce": (
        "what came back, under an opaque id, the server's words without addresses",
        "always; goes with an erased reader",
    ),
    "letter": ("who got which issue, under an opaque id", "always"),
    "delivery": ("the same for posts, whose recipient is a channel", "always"),
    "hook_call": (
        "what other programs are still to be told; with the address only where a hook says so",
        "until it was told, at most 30 days",
    ),
}
# What is about issues, posts, words and accounts, and not about people.
IMPERSONAL = frozenset(
    {"seen", "firing", "issue", "printed", "posted", "hold", "tick", "words", "variant", "chunk", "pace"}
)


def kept() -> str:
    """What is held of people: every table of the store is either here or has nothing of them."""
    tables = {name: table for name, table in metadata.tables.items() if name not in IMPERSONAL}
    if tables.keys() != KEPT.keys():
        raise ValueError(f"say of these tables what they keep: {sorted(tables.keys() ^ KEPT.keys())}")
    rows = [
        f"| `{name}` | {', '.join(column.name for column in tables[name].columns)} | {why} | {how_long} |"
        for name, (why, how_long) in KEPT.items()
    ]
    return "\n".join(["| table | columns | what for | how long |", "|---|---|---|---|", *rows])


def floors() -> str:
    """Which rooms of the house stand above which, as the import rules have it."""
    rules = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rooms = [re.sub(r"\s*\|?\s*\([^)]*\)", "", floor).replace("bot.", "") for floor in rules[0]["layers"]]
    return "\n".join(["```", *(f"{'-> ' * (n > 0)}{floor}" for n, floor in enumerate(rooms)), "```"])


TABLES = {"options": options, "commands": commands, "kept": kept, "floors": floors}


def renewed(page: str) -> str:
    """The page with every table as the program has it now."""
    for name, table in TABLES.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
        text = table().replace("\\", r"\\")
        page = between.sub(rf"\g<1>{text}\g<2>", page)
    return page


def main() -> None:
    """Renew every page."""
    for page in HERE.glob("*.md"):
        page.write_text(renewed(page.read_text()))


if __name__ == "__main__":
    main()
