"""How well "this address is dead" is told from real bounces, and how long a mail takes.

    .venv/bin/python benchmarks/bounces.py FOLDER

FOLDER holds ``expected.json`` (file name -> one record for each address, with "reason" and "hard"), the mails
it names (in FOLDER or in one of the folders below it), and perhaps ``not/`` with mails that must not be taken
for a dead address. A mail counts as dead when any of its records is hard. Beside us, in the same run: what
flufl.bounce calls permanent, and the status codes of RFC 3464 reports alone. The second half of the figures
is for the mails whose names hash to odd numbers: the rules were written while looking at the other half.
"""

from __future__ import annotations

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
PRECISION, RECALL = 0.95, 0.75


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


def odd(name: str) -> bool:
    """Whether a mail belongs to the half that was held back."""
    return sha256(name.encode()).digest()[0] % 2 == 1


def main() -> None:
    """Measure and print; the exit code says whether the targets were met."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    truth: Truth = json.loads((folder / "expected.json").read_text())
    mails = find(folder, truth)
    understand(b"")  # what is loaded once
    print(f"{len(mails)} of {len(truth)} mails found\n")
    print(f"{'':26}{'all mails':^32}{'held-out half':^32}{'ms a mail':>10}")
    print(f"{'':26}" + f"{'precision':>10}{'recall':>8}{'wrong':>7}{'missed':>7}" * 2)
    reached: tuple[float, float] = (0.0, 0.0)
    for way, is_dead in WAYS.items():
        start = time.perf_counter()
        found = {name: is_dead(raw) for name, raw in mails.items()}
        each = (time.perf_counter() - start) / max(1, len(mails)) * 1000
        columns = ""
        for part in (found, {name: dead for name, dead in found.items() if odd(name)}):
            precision, recall, _right, wrong, missed = figures(part, truth)
            columns += f"{precision:>10.3f}{recall:>8.3f}{wrong:>7}{missed:>7}"
        print(f"{way:26}{columns}{each:>10.2f}")
        if way == "ours":
            reached = figures(found, truth)[:2]
    confusion(mails, truth)
    alarms = not_bounces(folder)
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
