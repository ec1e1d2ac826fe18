"""An IMAP mailbox of bounces (RFC 3501, MOVE where the server has it).

Mails are fetched with PEEK, so that what is left stays unread. What was looked at and left gets a keyword of
ours, where the server keeps keywords, and is not fetched again.
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from bot.audience.bounces.boxes import BLOCK, SET_ASIDE, Letter
from bot.audience.bounces.opened import LARGEST
from bot.errors import UserError

LEFT = "BroadsideLeft"  # our keyword on what is not for us
SEARCHED = 5_000  # mails for each question, so that no answer grows too long
_UID = re.compile(rb"\bUID (\d+)")
_MESSAGES = re.compile(rb"\bMESSAGES (\d{1,9})\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Where the mailbox is and who we are there."""

    host: str
    port: int = 993
    security: Literal["tls", "starttls", "none"] = "tls"
    username: str
    password: str = field(repr=False)
    folder: str = "INBOX"
    done_folder: str = "Bounces"
    ca_file: str = ""
    timeout: float = 60


class ImapBox:
    """A conversation with the server, open until ``close``. UserError says what went wrong and where."""

    def __init__(self, account: Account) -> None:
        self._account = account
        if not (account.folder + account.done_folder).isascii():
            raise UserError("the folders of [bounces] may hold English letters and digits only; rename them")
        try:
            self._imap = _connected(account)
        except (imaplib.IMAP4.error, OSError) as error:
            raise self._trouble("connect", error) from error
        try:
            self._imap.login(account.username, account.password)
            (told, *_) = self._imap.capability()[1]  # servers tell more after the login
            self._can = frozenset((told or b"").decode("ascii", "replace").upper().split())
            self._count = self._select()
        except (imaplib.IMAP4.error, OSError) as error:
            self.close()
            raise self._trouble("log in and open the folder", error) from error
        self._folders: dict[str, str] = {}  # the names that were found or made

    def blocks(self) -> Iterator[Sequence[Letter]]:
        try:
            uids = self._unseen_by_us()
            for start in range(0, len(uids), BLOCK):
                yield self._fetched(uids[start : start + BLOCK])
        except (imaplib.IMAP4.error, OSError) as error:
            raise self._trouble("read", error) from error

    def settle(self, done: Sequence[Letter], left: Sequence[Letter]) -> None:
        try:
            if left and self._keeps_keywords:
                self._ask("STORE", _set(left), "+FLAGS.SILENT", f"({LEFT})")
            if done:
                self._ask("STORE", _set(done), "+FLAGS.SILENT", "(\\Seen)")
                self._move(_set(done), self._account.done_folder)
        except (imaplib.IMAP4.error, OSError) as error:
            raise self._trouble("move mails", error) from error

    def set_aside(self, unjudged: Sequence[Letter]) -> None:
        try:
            if unjudged:
                self._move(_set(unjudged), SET_ASIDE)
        except (imaplib.IMAP4.error, OSError) as error:
            raise self._trouble("move mails", error) from error

    def lying_aside(self) -> int:
        try:
            for name in _names(SET_ASIDE):
                status, data = self._imap.status(_quoted(name), "(MESSAGES)")
                if status == "OK" and (found := _MESSAGES.search(data[0] or b"")):
                    return int(found[1])
        except (imaplib.IMAP4.error, OSError) as error:
            raise self._trouble("count mails", error) from error
        return 0

    def close(self) -> None:
        with suppress(imaplib.IMAP4.error, OSError):
            self._imap.logout()

    # ------------------------------------------------------------------ the conversation

    def _select(self) -> int:
        status, data = self._imap.select(_quoted(self._account.folder))
        if status != "OK":
            raise imaplib.IMAP4.error(f"there is no folder {self._account.folder!r}")
        flags = b" ".join(item for item in self._imap.response("PERMANENTFLAGS")[1] if item)
        self._keeps_keywords = b"\\*" in flags or LEFT.encode() in flags
        return int(data[0] or b"0")

    def _unseen_by_us(self) -> list[bytes]:
        """The UIDs of all that we did not leave before."""
        unseen = ["UNDELETED", "UNKEYWORD", LEFT] if self._keeps_keywords else ["UNDELETED"]
        found: list[bytes] = []
        for first in range(1, self._count + 1, SEARCHED):
            last = min(first + SEARCHED - 1, self._count)
            answer = self._ask("SEARCH", f"{first}:{last}", *unseen)
            found += [uid for item in answer if isinstance(item, bytes) for uid in item.split()]
        return found

    def _fetched(self, uids: Sequence[bytes]) -> list[Letter]:
        answer = self._ask("FETCH", b",".join(uids).decode(), f"(UID BODY.PEEK[]<0.{LARGEST}>)")
        pairs = zip(answer, [*answer[1:], b""], strict=True)  # the UID stands before or after the mail
        return [letter for item, after in pairs if (letter := _letter(item, after))]

    def _move(self, uids: str, folder: str) -> None:
        target = _quoted(self._target(folder))
        if "MOVE" in self._can:
            self._ask("MOVE", uids, target)
            return
        self._ask("COPY", uids, target)
        self._ask("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)")
        if "UIDPLUS" in self._can:  # a plain EXPUNGE would take other people's deletions along
            self._ask("EXPUNGE", uids)

    def _target(self, folder: str) -> str:
        """That folder; made when it is missing, below the inbox where servers want that."""
        if folder not in self._folders:
            found = next((name for name in _names(folder) if self._is_there(name)), None)
            if found is None:
                raise imaplib.IMAP4.error(f"the folder {folder!r} can be neither found nor made")
            self._folders[folder] = found
        return self._folders[folder]

    def _is_there(self, name: str) -> bool:
        """Makes it where it is missing."""
        if self._imap.status(_quoted(name), "(UIDNEXT)")[0] == "OK":
            return True
        if self._imap.create(_quoted(name))[0] != "OK":
            return False
        self._imap.subscribe(_quoted(name))
        return True

    def _ask(self, command: str, *words: str) -> list[bytes | tuple[bytes, bytes]]:
        status, data = self._imap.uid(command, *words)
        if status != "OK":
            raise imaplib.IMAP4.error(f"the server refused UID {command}")
        return [item for item in data if item]

    def _trouble(self, deed: str, error: Exception) -> UserError:
        """In words for people. A server may repeat the account's name, but that is no reader's."""
        told = (
            str(error.args[0].decode("utf-8", "replace") if _is_bytes(error) else error)
            or type(error).__name__
        )
        where = f"{self._account.host}:{self._account.port}"
        return UserError(
            f"cannot {deed} at the bounce mailbox {where}: {' '.join(told.split())[:200]}; check [bounces]"
        )


def _letter(item: bytes | tuple[bytes, bytes], after: bytes | tuple[bytes, bytes]) -> Letter | None:
    if not isinstance(item, tuple):
        return None
    uid = _UID.search(item[0]) or (_UID.search(after) if isinstance(after, bytes) else None)
    return Letter(name=uid[1].decode(), raw=item[1]) if uid else None


def _is_bytes(error: Exception) -> bool:
    return bool(error.args) and isinstance(error.args[0], bytes)


def _connected(account: Account) -> imaplib.IMAP4:
    trust = ssl.create_default_context(cafile=account.ca_file or None)
    if account.security == "tls":
        return imaplib.IMAP4_SSL(account.host, account.port, ssl_context=trust, timeout=account.timeout)
    imap = imaplib.IMAP4(account.host, account.port, timeout=account.timeout)
    if account.security == "starttls":
        try:
            imap.starttls(trust)
        except BaseException:
            imap.shutdown()
            raise
    return imap


def _names(folder: str) -> list[str]:
    """How a folder may be called, by the server's taste."""
    below = [] if folder.upper().startswith("INBOX") else [f"INBOX.{folder}", f"INBOX/{folder}"]
    return [folder, *below]


def _set(letters: Sequence[Letter]) -> str:
    return ",".join(letter.name for letter in letters)


def _quoted(name: str) -> str:
    """A folder's name as the protocol writes it. imaplib does not quote by itself."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
