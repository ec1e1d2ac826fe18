"""Names as a dictionary: the same form that ``dns_server`` serves, without a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.deliverability.names import Answer, Trouble

SILENT, SERVFAIL = "SILENT", "SERVFAIL"


class Zone:
    """``name -> type -> values``; SILENT and SERVFAIL stand for a whole name. Notes what was asked."""

    def __init__(self, records: Mapping[str, Mapping[str, Sequence[str]] | str]) -> None:
        self._records = {name.lower(): found for name, found in records.items()}
        self.asked: list[tuple[str, str]] = []

    async def ask(self, name: str, kind: str) -> Answer:
        name = name.rstrip(".").lower()
        self.asked.append((name, kind))
        found = self._records.get(name)
        if found == SILENT:
            return Answer(trouble=Trouble.TIMEOUT)
        if found == SERVFAIL:
            return Answer(trouble=Trouble.FAILED)
        if found is None or isinstance(found, str):
            below = any(other.endswith(f".{name}") for other in self._records)
            return Answer(trouble=Trouble.NO_RECORD if below else Trouble.NO_NAME)
        if not found.get(kind):
            return Answer(trouble=Trouble.NO_RECORD)
        if kind == "MX":
            pairs = sorted((int(value.split()[0]), value.split()[1].rstrip(".")) for value in found[kind])
            return Answer(values=tuple(host for _, host in pairs))
        return Answer(values=tuple(value.rstrip(".") if kind == "PTR" else value for value in found[kind]))
