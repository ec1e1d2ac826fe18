"""How much of a conformance suite of SPF our evaluator passes.

    .venv/bin/python benchmarks/spf_conformance.py rfc7208-tests.yml

Reads the form of the openspf.org suites (YAML documents with ``tests`` and ``zonedata``), asks no DNS server,
and prints what fails. Exit code 1 when anything does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from bot.deliverability.names import Answer, Trouble
from bot.deliverability.spf import Check

LONGEST_LABEL, LONGEST_NAME = 63, 253


class Zone:
    """The suite's own DNS: TIMEOUT, and records of type SPF that count as TXT unless TXT is given."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = {name.lower().rstrip("."): records for name, records in data.items()}

    async def ask(self, name: str, kind: str, depth: int = 0) -> Answer:
        name = name.lower().rstrip(".")
        if len(name) > LONGEST_NAME or any(not 0 < len(label) <= LONGEST_LABEL for label in name.split(".")):
            return Answer(trouble=Trouble.NO_NAME)
        records = self._data.get(name)
        if records is None:
            return Answer(trouble=Trouble.NO_NAME)
        if records == "TIMEOUT":
            return Answer(trouble=Trouble.TIMEOUT)
        typed = [next(iter(record.items())) for record in records if isinstance(record, dict)]
        found = [value for key, value in typed if key == kind]
        if kind == "TXT" and not any(key == "TXT" for key, _ in typed):
            found = [value for key, value in typed if key == "SPF"]
        found = [value for value in found if value != "NONE"]
        if not found and "TIMEOUT" in records:
            return Answer(trouble=Trouble.TIMEOUT)
        alias = next((value for key, value in typed if key == "CNAME"), None)
        if not found and alias:
            return await self.ask(alias, kind, depth + 1) if depth < 8 else Answer(trouble=Trouble.FAILED)
        return Answer(
            values=tuple(_value(kind, value) for value in found), trouble=None if found else Trouble.NO_RECORD
        )


def _value(kind: str, value: Any) -> str:
    if kind == "MX":
        return str(value[1]).rstrip(".")
    if kind == "TXT":
        return "".join(value) if isinstance(value, list) else str(value)
    return str(ip_address(value)) if kind in ("A", "AAAA") else str(value).rstrip(".")


async def problems(suite: Mapping[str, Any]) -> list[str]:
    """What went otherwise than one document of the suite says."""
    zone, found = Zone(suite["zonedata"]), []
    for name, case in suite["tests"].items():
        check = Check(
            names=zone, address=ip_address(case["host"]), sender=case["mailfrom"], helo=case["helo"]
        )
        verdict = await check.verdict()
        wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
        if verdict.result not in wanted:
            found.append(f"{name}: {verdict.result} instead of {' or '.join(wanted)} ({verdict.why})")
        words = case.get("explanation")
        if words and verdict.explanation != ("" if words == "DEFAULT" else words):
            found.append(f"{name}: says {verdict.explanation!r} instead of {words!r}")
    return found


def main(path: Path) -> int:
    wrong = 0
    suites = [suite for suite in yaml.safe_load_all(path.read_text("utf-8")) if suite]
    for suite in suites:
        found = asyncio.run(problems(suite))
        wrong += len({line.partition(":")[0] for line in found})
        print(f"{suite['description']:45} {len(suite['tests']):4} cases, {len(found)} problems")
        for line in found:
            print(f"    {line}")
    total = sum(len(suite["tests"]) for suite in suites)
    print(f"{total - wrong} of {total} cases pass")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
