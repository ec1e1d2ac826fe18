"""An IMAP mailbox of bounces (RFC 3501, MOVE where the server has it).

Mails are fetched with PEEK, so that what is left stays unread. What was looked at and left gets a keyword of
ours, where the server keeps keywords, and is not fetched again.
"""

from __future__ import annotations

import imaplib
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.audience.bounces.boxes import BLOCK, SET_ASIDE, Letter
from bot.audience.bounces.opened import LARGEST
from bot.errors import UserError
from bot.remote.limits import AnswerUnusable, Exchange, Limits
from bot.remote.numbers import whole_number
from bot.remote.sockets import LimitedReader

LEFT = "BroadsideLeft"  # our keyword on what is not for us
SEARCHED = 5_000  # mails for each question, so that no answer grows too long
_MESSAGES = re.compile(rb"\bMESSAGES (\d{1,9})\b")
MOST_MAILS = 1_000_000  # that a mailbox is believed to hold
_UID = re.compile(rb"\bUID (\d{1,10})\b")
_IS_UID = re.compile(rb"[0-9]{1,10}")  # 32 bits
_FETCH_PATIENCE = 5  # times ``timeout``: a block of mails may be large, and the line slow
_GOODBYE_SECONDS = 5.0
_LONGEST_LINE = 1_000_000  # bytes
_LONGEST_ANSWER = 2 * BLOCK * LARGEST  # bytes, to one command
# imaplib reads what the server says as it comes: its numbers and its words may be anything.
_FAILED = (imaplib.IMAP4.error, OSError, ValueError)


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
    timeout: float = 60  # seconds, for each command as a whole
    visit: float = 900  # seconds; what is not read by then waits for the next time


class ImapBox:
    """A conversation with the server, open until ``close``. UserError says what went wrong and where."""

    def __init__(self, account: Account) -> None:
        self._account, self._until = account, time.monotonic() + account.visit
        self._is_broken = False
        if not (account.folder + account.done_folder).isascii():
            raise UserError("the folders of [bounces] may hold English letters and digits only; rename them")
        try:
            self._imap = _connected(account)
        except _FAILED as error:
            raise self._trouble("connect", error) from error
        try:
            self._imap.login(account.username, account.password)
            (told, *_) = self._imap.capability()[1]  # servers tell more after the login
            self._can = frozenset((told or b"").decode("ascii", "replace").upper().split())
            self._count = self._select()
        except _FAILED as error:
            self._is_broken = isinstance(error, OSError | ValueError)
            self.close()
            raise self._trouble("log in and open the folder", error) from error
        self._folders: dict[str, str] = {}  # the names that were found or made

    def blocks(self) -> Iterator[Sequence[Letter]]:
        try:
            uids = self._unseen_by_us()
            for start in range(0, len(uids), BLOCK):
                if self._is_time_over:
                    return
                yield self._fetched(uids[start : start + BLOCK])
        except _FAILED as error:
            raise self._trouble("read", error) from error

    def settle(self, done: Sequence[Letter], left: Sequence[Letter]) -> None:
        try:
            if left and self._keeps_keywords:
                self._ask("STORE", _set(left), "+FLAGS.SILENT", f"({LEFT})")
            if done:
                self._ask("STORE", _set(done), "+FLAGS.SILENT", "(\\Seen)")
                self._move(_set(done), self._account.done_folder)
        except _FAILED as error:
            raise self._trouble("move mails", error) from error

    def set_aside(self, unjudged: Sequence[Letter]) -> None:
        try:
            if unjudged:
                self._move(_set(unjudged), SET_ASIDE)
        except _FAILED as error:
            raise self._trouble("move mails", error) from error

    def lying_aside(self) -> int:
        try:
            for name in _names(SET_ASIDE):
                status, data = self._imap.status(_quoted(name), "(MESSAGES)")
                if status == "OK" and (found := _MESSAGES.search(data[0] or b"")):
                    return int(found[1])
        except _FAILED as error:
            raise self._trouble("count mails", error) from error
        return 0

    def close(self) -> None:
        """Say goodbye, unless the server has failed us: then nobody waits for it once more."""
        self._imap.seconds = min(self._account.timeout, _GOODBYE_SECONDS)
        with suppress(*_FAILED):
            if not self._is_broken:
                self._imap.logout()
                return
        with suppress(*_FAILED):
            self._imap.shutdown()

    # ------------------------------------------------------------------ the conversation

    @property
    def _is_time_over(self) -> bool:
        return time.monotonic() >= self._until

    def _select(self) -> int:
        status, data = self._imap.select(_quoted(self._account.folder))
        if status != "OK":
            raise imaplib.IMAP4.error(f"there is no folder {self._account.folder!r}")
        flags = b" ".join(item for item in self._imap.response("PERMANENTFLAGS")[1] if item)
        self._keeps_keywords = b"\\*" in flags or LEFT.encode() in flags
        return whole_number((data[0] or b"0").decode("ascii", "replace"), most=MOST_MAILS) or 0

    def _unseen_by_us(self) -> list[bytes]:
        """The UIDs of all that we did not leave before."""
        unseen = ["UNDELETED", "UNKEYWORD", LEFT] if self._keeps_keywords else ["UNDELETED"]
        found: dict[bytes, None] = {}  # in order, each once
        for first in range(1, self._count + 1, SEARCHED):
            if self._is_time_over:
                break
            last = min(first + SEARCHED - 1, self._count)
            answer = self._ask("SEARCH", f"{first}:{last}", *unseen)
            uids = [uid for item in answer if isinstance(item, bytes) for uid in item.split()]
            if len(uids) > SEARCHED or not all(map(_IS_UID.fullmatch, uids)):
                raise imaplib.IMAP4.error("the server answers with mails that were not asked for")
            found.update(dict.fromkeys(uids))
        return list(found)

    def _fetched(self, uids: Sequence[bytes]) -> list[Letter]:
        self._imap.seconds = _FETCH_PATIENCE * self._account.timeout
        try:
            answer = self._ask("FETCH", b",".join(uids).decode(), f"(UID BODY.PEEK[]<0.{LARGEST}>)")
        finally:
            self._imap.seconds = self._account.timeout
        pairs = zip(answer, [*answer[1:], b""], strict=False)  # the UID stands before or after the mail
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
        self._is_broken = self._is_broken or not isinstance(error, imaplib.IMAP4.error)
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


class _Limited(imaplib.IMAP4):
    """Each command within limits, from its first byte to the last of its answer."""

    def __init__(self, account: Account, **options: Any) -> None:
        self.seconds = account.timeout
        self._read_from: socket.socket | None = None
        super().__init__(account.host, account.port, timeout=account.timeout, **options)

    def open(self, *args: Any, **kwargs: Any) -> None:
        self._begin()
        super().open(*args, **kwargs)

    def send(self, data: Any) -> None:
        self._begin()
        super().send(data)

    def read(self, size: int) -> bytes:
        if size > _LONGEST_ANSWER:  # before there is memory for it
            raise AnswerUnusable("the server announces more than it was asked for")
        return self._reader().read(size)

    def readline(self) -> bytes:
        line = self._reader().readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise AnswerUnusable("the server's answer has a line without an end")
        return line

    def shutdown(self) -> None:
        if self._read_from is not None:
            self._answers.close()
        super().shutdown()

    def _begin(self) -> None:
        self._exchange = Exchange(Limits(seconds=self.seconds, size=_LONGEST_ANSWER))

    def _reader(self) -> io.BufferedReader[LimitedReader]:
        """Of the connection as it is now: STARTTLS makes another one, and nothing from before is kept."""
        if self._read_from is not self.sock:
            self._read_from = self.sock
            reader = LimitedReader(self.sock, lambda: self._exchange, patience=self.seconds)
            self._answers = io.BufferedReader(reader)
        return self._answers


class _LimitedSSL(_Limited, imaplib.IMAP4_SSL):
    """The same, encrypted from the start."""


def _connected(account: Account) -> _Limited:
    trust = ssl.create_default_context(cafile=account.ca_file or None)
    if account.security == "tls":
        return _LimitedSSL(account, ssl_context=trust)
    imap = _Limited(account)
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
