"""SECURITY.md is true to the tests."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_test_that_the_security_page_names_exists() -> None:
    """Each once, and each boundary has at least one."""
    page = (ROOT / "SECURITY.md").read_text("utf-8")
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", page)

    assert named
    assert len(named) == len(set(named))
    assert [name for name in named if f"def {name}(" not in sources] == []
    boundaries = page.partition("boundary by boundary")[2].partition("## What is not")[0].split("### ")[1:]
    assert [each.splitlines()[0] for each in boundaries if "`test_" not in each] == []
