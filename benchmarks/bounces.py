"""How well "this address is dead" is told from real bounces, and how long a mail takes.

    .venv/bin/python benchmarks/bounces.py FOLDER [--rest | --third]

FOLDER holds ``expected.json`` (file name -> one record for each address, with "reason" and "hard"), the mails
it names (in FOLDER or in one of the folders below it), and perhaps ``not/`` with mails that must not be taken
for a dead address. A mail counts as dead when any of its records is hard. Beside us, in the same run: what
flufl.bounce calls permanent, and the status codes of RFC 3464 reports alone. --third measures the mails that
nobody looked at while the rules were written: those whose names have a SHA-256 that divides by three. --rest
measures the others.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from email import message_from_bytes
from hashlib import sha256
from pathlib import Path
from typing import Any

from flufl.bounce import all_failures

from bot.audience.bounces import Kind, understand

Truth = Mapping[str, list[Mapping[str, Any]]]
CLEAR = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}
PRECISION, RECALL = 0.95, 0.80


def ours(raw: bytes) -> bool:
    """Any address of the mail is dead."""
    return any(verdict.kind is Kind.DEAD for verdict in understand(raw))


def by_flufl(raw: bytes) -> bool:
    """flufl.bounce names a permanent failure."""
    try:
        return bool(all_failures(message_from_bytes(raw))[1])
    except Exception:  # its detectors raise on some of these mails
        return False


def by_status(raw: bytes) -> bool:
    """The standard library finds a report whose status says that the address is wrong."""
    parts = message_from_bytes(raw).walk()
    return any(str(part.get("Status", "")).split(" ")[0].strip() in CLEAR for part in parts)


WAYS: dict[str, Callable[[bytes], bool]] = {
    "ours": ours,
    "flufl.bounce, permanent": by_flufl,
    "status 5.1.{1,2,3,6,10}": by_status,
}


def find(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The mails by name."""
    places = {path.name: path for path in folder.rglob("*.eml") if path.parent.name != "not"}
    return {name: places[name].read_bytes() for name in names if name in places}


def figures(found: Mapping[str, bool], truth: Truth) -> tuple[float, float, int, int, int]:
    """Precision, recall, and how many: rightly dead, wrongly dead, missed."""
    pairs = Counter((found[name], any(record["hard"] for record in truth[name])) for name in found)
    right, wrong, missed = pairs[True, True], pairs[True, False], pairs[False, True]
    return right / ((right + wrong) or 1), right / ((right + missed) or 1), right, wrong, missed


def is_unread(name: str) -> bool:
    """Whether a mail belongs to the third that was held back."""
    return int(sha256(name.encode()).hexdigest(), 16) % 3 == 0


def arguments() -> argparse.Namespace:
    """The folder and the part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--third", dest="unread", action="store_const", const=True, help="held back")
    part.add_argument("--rest", dest="unread", action="store_const", const=False, help="looked at")
    return parser.parse_args()


def main() -> None:
    """Measure and print; the exit code says whether the targets were met."""
    asked = arguments()
    everything: Truth = json.loads((asked.folder / "expected.json").read_text())
    truth = {name: told for name, told in everything.items() if asked.unread in (None, is_unread(name))}
    mails = find(asked.folder, truth)
    understand(b"")  # what is loaded once
    print(f"{len(mails)} of {len(truth)} mails found\n")
    print(f"{'':26}{'precision':>10}{'recall':>8}{'right':>7}{'wrong':>7}{'missed':>7}{'ms a mail':>11}")
    reached: tuple[float, float] = (0.0, 0.0)
    for way, is_dead in WAYS.items():
        start = time.perf_counter()
        found = {name: is_dead(raw) for name, raw in mails.items()}
        each = (time.perf_counter() - start) / max(1, len(mails)) * 1000
        precision, recall, right, wrong, missed = figures(found, truth)
        print(f"{way:26}{precision:>10.3f}{recall:>8.3f}{right:>7}{wrong:>7}{missed:>7}{each:>11.2f}")
        if way == "ours":
            reached = precision, recall
    confusion(mails, truth)
    alarms = not_bounces(asked.folder)
    good = reached[0] >= PRECISION and reached[1] >= RECALL and not alarms
    print(f"\nTarget: precision {PRECISION}, recall {RECALL}, no false alarm: {'met' if good else 'NOT met'}")
    sys.exit(0 if good else 1)


def confusion(mails: Mapping[str, bytes], truth: Truth) -> None:
    """What we make of each expected reason; mails about one address only, where there is no doubt."""
    kinds = [kind.value for kind in Kind]
    counts: Counter[tuple[str, str]] = Counter()
    hard: dict[str, bool] = {}
    for name, raw in mails.items():
        if len(truth[name]) == 1:
            reason = truth[name][0]["reason"]
            hard[reason] = truth[name][0]["hard"]
            counts[reason, understand(raw)[0].kind.value] += 1
    print(f"\n{'expected':18}" + "".join(f"{kind:>11}" for kind in kinds))
    for reason in sorted(hard, key=lambda reason: (not hard[reason], reason)):
        cells = "".join(f"{counts[reason, kind] or '.':>11}" for kind in kinds)
        print(f"{reason + (' *' if hard[reason] else ''):18}{cells}")
    print("* the address is dead")


def not_bounces(folder: Path) -> int:
    """How many of the mails in ``not/`` are called dead."""
    if not (folder / "not").is_dir():
        return 0
    mails = {path.name: understand(path.read_bytes()) for path in sorted((folder / "not").iterdir())}
    alarms = [name for name, verdicts in mails.items() if any(v.kind is Kind.DEAD for v in verdicts)]
    print(f"\nnot/: {len(mails)} mails, {len(alarms)} false alarms" + "".join(f"\n  {n}" for n in alarms))
    return len(alarms)


if __name__ == "__main__":
    main()
