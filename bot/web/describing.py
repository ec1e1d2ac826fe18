"""What OpenAPI says about the pages: answers that are HTML, and the fields of each form."""

from __future__ import annotations

from typing import Any

_HTML: dict[str, Any] = {"content": {"text/html": {"schema": {"type": "string"}}}}
_TEXT: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_WORDS = {
    200: "A page",
    400: "A link that we did not make, or a request that nobody understands",
    404: "There is no such page",
    408: "It came too slowly",
    410: "A link that has run out",
    413: "Too much for a form",
    422: "The form again, with what is missing",
    429: "Too many forms in this hour, whatever the address: come back later",
    503: "The database is held by another program, or away: come back later",
}
_OF_THE_GUARD = (408, 413)
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


def page(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A page for each status, in HTML; what the guard refuses is plain text."""
    return {
        status: {"description": _WORDS[status], **(_TEXT if status in _OF_THE_GUARD else _HTML)}
        for status in statuses
    }


def _form(*, required: tuple[str, ...] = (), **fields: dict[str, Any]) -> dict[str, Any]:
    """A request body that may be written either way."""
    schema = {"type": "object", "properties": fields, "required": list(required)}
    body = {"content": {kind: {"schema": schema} for kind in (URLENCODED, MULTIPART)}}
    return {"openapi_extra": {"requestBody": body}}


_STRING = {"type": "string"}
_STRINGS = {"type": "array", "items": _STRING}

SUBSCRIBE = _form(
    required=("address", "newsletter", "stamp"),
    address={"type": "string", "format": "email"},
    newsletter=_STRINGS,
    lang=_STRING,
    page=_STRING,
    stamp={"type": "string", "description": "from the form: good once, for a day"},
    website={"type": "string", "description": "stays empty"},
)
CONFIRM = _form()
_ONE_CLICK: dict[str, dict[str, Any]] = {"List-Unsubscribe": {"type": "string", "enum": ["One-Click"]}}
LEAVE = _form(required=(), **_ONE_CLICK)
PREFER = _form(
    lang=_STRING,
    page=_STRING,
    form={"type": "string", "enum": ["", "plain", "headlines"]},
    pause={"type": "string", "enum": ["none", "keep", "weeks", "month", "months", "date"]},
    day={"type": "string", "format": "date"},
)
