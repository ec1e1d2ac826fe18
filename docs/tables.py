"""Writes the tables of the docs that the program itself knows best: `python docs/tables.py`.

Each table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``; a test fails when one is out of date.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from bot.channels.registry import channel_names, channel_type
from bot.cli.main import COMMANDS

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
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"


def commands() -> str:
    """Every command with its line of help."""
    rows = [f"| `bot {name}` | {text} |" for name, (_, text) in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows])


TABLES = {"options": options, "commands": commands}


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
