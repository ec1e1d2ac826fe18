"""Debian's OpenDKIM as a receiver: whether it believes a signature. DNS is a file; nothing is asked."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

OPENDKIM = Path("/usr/sbin/opendkim")
_ANSWER = re.compile(r"(\d+)\.eml: verification .*?(succeeded|failed)")


def can_verify() -> bool:
    """Whether this machine has it; in CI it must."""
    return OPENDKIM.exists() or bool(os.environ.get("CI"))


def believed(mails: Sequence[bytes], *, record_name: str, record: str, folder: Path) -> list[bool]:
    """OpenDKIM's word on each mail. AssertionError when it says nothing of one."""
    keys, settings = folder / "keys", folder / "opendkim.conf"
    keys.write_text(f"{record_name} {record}\n")
    settings.write_text(f"Mode v\nTestPublicKeys {keys}\nBackground no\nSyslog no\n")
    files = [folder / f"{number}.eml" for number in range(len(mails))]
    for file, mail in zip(files, mails, strict=True):
        file.write_bytes(mail)
    names = ",".join(map(str, files))
    ran = subprocess.run([OPENDKIM, "-x", settings, "-t", names], capture_output=True, text=True, check=False)
    said = {int(number): word == "succeeded" for number, word in _ANSWER.findall(ran.stdout + ran.stderr)}
    assert sorted(said) == list(range(len(mails))), ran.stdout + ran.stderr
    return [said[number] for number in range(len(mails))]
