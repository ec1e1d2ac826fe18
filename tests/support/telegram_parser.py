"""Telegram's own parser, offline: TDLib answers ``parseTextEntities`` without an account or a network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import tdjson


@dataclass(frozen=True, kw_only=True)
class Formatted:
    """What Telegram makes of a text; ``entities`` in the form of the Bot API."""

    text: str
    entities: tuple[dict[str, Any], ...] = ()


class Refused(Exception):
    """Telegram refuses the markup."""


_KINDS = {
    "textEntityTypeTextUrl": "text_link",
    "textEntityTypeBlockQuote": "blockquote",
    "textEntityTypeExpandableBlockQuote": "expandable_blockquote",
    "textEntityTypeCustomEmoji": "custom_emoji",
    "textEntityTypePreCode": "pre",
    "textEntityTypeDateTime": "date_time",
}


def _execute(query: dict[str, Any]) -> dict[str, Any]:
    answer = json.loads(tdjson.td_execute(json.dumps(query).encode()) or b"{}")
    assert isinstance(answer, dict)
    return answer


_execute({"@type": "setLogVerbosityLevel", "new_verbosity_level": 0})


def telegram_parse(html: str) -> Formatted:
    """The text and entities of ``parse_mode=HTML``, or Refused with Telegram's words."""
    answer = _execute(
        {"@type": "parseTextEntities", "text": html, "parse_mode": {"@type": "textParseModeHTML"}}
    )
    if answer["@type"] == "error":
        raise Refused(answer["message"])
    return Formatted(text=answer["text"], entities=tuple(map(_entity, answer["entities"])))


def _entity(found: dict[str, Any]) -> dict[str, Any]:
    kind = found["type"]["@type"]
    entity = {
        "type": _KINDS.get(kind, kind.removeprefix("textEntityType").lower()),
        "offset": found["offset"],
        "length": found["length"],
    }
    return entity | {name: found["type"][name] for name in ("url", "language") if name in found["type"]}
