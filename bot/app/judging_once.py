"""A mail gets one try: what raises, takes too long or ends the process is set aside, and the others go on.

While a mail is judged, a mark in ``state/`` names it. A mark without its process says what that died of.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from bot.audience.bounces import Verdict, understand
from bot.audience.bounces.notices import verdicts_of_notices

log = logging.getLogger(__name__)

MARK = "judging-bounce"  # .<process>: holds the digest of the mail
_SET_ASIDE = "a mail in the bounce mailbox cannot be judged and is set aside: %s"
TOO_LONG = 5.0  # seconds of this thread's processor; an honest mail takes a hundredth of one


class OneTry:
    """One round over a box. Without ``leaves_mark`` nothing is written: a dry run only looks."""

    def __init__(self, state: Path, *, leaves_mark: bool) -> None:
        self._leaves_mark = leaves_mark
        self._mark = state / f"{MARK}.{os.getpid()}"
        self._old_marks = [path for path in state.glob(f"{MARK}.*") if not _is_at_work(path)]
        self._deadly = {_digest_in(path) for path in self._old_marks}

    def verdicts(self, raw: bytes) -> tuple[Verdict, ...] | None:
        """What the mail says; None where it cannot be judged."""
        digest = sha256(raw).hexdigest()
        if digest in self._deadly:
            log.warning(_SET_ASIDE, "the process that judged it before did not live to the end")
            return None
        if self._leaves_mark:
            self._mark.write_text(digest, "ascii")
        found: tuple[Verdict, ...] | None
        start = time.thread_time()
        try:
            found = verdicts_of_notices(raw) or understand(raw)
        except Exception as error:
            log.warning(_SET_ASIDE, type(error).__name__)  # its words may hold a part of the mail
            found = None
        took = time.thread_time() - start
        if took > TOO_LONG:
            log.warning(_SET_ASIDE, f"it took {took:.0f} seconds")
            found = None
        if self._leaves_mark:  # an interrupt leaves it: the mail that somebody broke off is not tried again
            self._mark.unlink(missing_ok=True)
        return found

    def forget_old_marks(self) -> None:
        """At the end of a round, when what they named was set aside."""
        for path in self._old_marks if self._leaves_mark else ():
            path.unlink(missing_ok=True)


def _is_at_work(mark: Path) -> bool:
    """Whether another process that lives judges that mail now. Our own number is that of an earlier life."""
    number = mark.suffix.removeprefix(".")
    if not (number.isascii() and number.isdigit()) or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True


def _digest_in(mark: Path) -> str:
    with suppress(OSError, UnicodeError):
        return mark.read_text("ascii").strip()
    return ""
