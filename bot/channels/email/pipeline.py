"""One conversation with a mail server at one round trip a letter (RFC 2920), by callbacks only.

``Wire`` takes over a connection that ``smtp.Session`` has opened, encrypted and logged in. It pulls its next
letter itself and says what became of each:

    354 for A            ->  body of A, dot, MAIL RCPT DATA of B, in one write
    250 for A, 250 250 354 for B  ->  A is sent; body of B, dot, MAIL RCPT DATA of C

To a server with CHUNKING it is the same without DATA, 354 and dot (``dialect``); "dot" is the last byte then.
At most one letter is past its dot without an answer, so a lost connection leaves at most one uncertain;
the one after it has only been announced and is handed back. Answers are counted: one that nobody asked for
ends the conversation and is never taken for a later letter's. A server without PIPELINING hears the same
commands one by one. There is no task, no future and no log line for a letter.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.trsock import TransportSocket
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from bot.channels.email.calls import Calls, Rules
from bot.channels.email.dialect import CHUNKS, Step, dialect_of
from bot.channels.email.hearing import Hearing
from bot.channels.email.mime import Mail
from bot.channels.email.replies import Stage, clean, lost, refusal
from bot.channels.email.terms import note, plain, who
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure

GOODBYE_SECONDS = 5
_STROKE = 65_536  # bytes; more than that waits for the system, and asyncio says so
# BDAT was offered and is no command there: the server takes the lines of the letter for commands.
_NOT_UNDERSTOOD = frozenset({500, 502, 503, 504})

_RESET, _SENDER, _RECIPIENT, _DATA, _ANSWER, _NOTHING, _GOODBYE = Step
_STAGES = {_SENDER: Stage.SENDER, _RECIPIENT: Stage.RECIPIENT, _DATA: Stage.DATA, _ANSWER: Stage.ANSWER}


class Wire(asyncio.Protocol):
    """One open conversation. ``start`` takes the connection over; ``ended`` is told when it is gone."""

    def __init__(self, rules: Rules, calls: Calls, *, clock: Callable[[], float]) -> None:
        self._rules, self._calls, self._clock = rules, calls, clock
        self._place, self._pipelining = rules.place, rules.terms.pipelining
        self._dialect = dialect_of(rules.terms)
        self._usual = self._dialect.usual
        self._transport: asyncio.Transport
        self._socket: TransportSocket | None = None  # of a connection in clear text
        self.answers = 0  # letters of which the server told the outcome, and stayed
        self._room = rules.letters or -1  # letters that this conversation may still take
        self._leaving = self._over = False
        self._busy = False  # reading or asking: what a callback wakes waits until that is done
        self._owed: deque[Step] = deque()  # answers that must come, in this order
        self._unsaid: deque[tuple[Step, bytes]] = deque()  # without PIPELINING: what waits for its turn
        self._out: Mail | None = None  # past DATA, not yet answered
        self._dot_is_out = False  # its last byte was given away
        self._next: Mail | None = None  # announced
        self._no: DeliveryError | None = None  # what MAIL or RCPT said of it
        self._granted = False  # 354 is here: its body goes out once everything that came was read
        self._waits = False  # a body and what comes after it, for the end of this turn of the event loop
        self._after = b""  # the announcement behind that body
        self._must_reset = False
        self._after_dot = 0  # bytes that we wrote after the last dot
        self._hearing = Hearing()
        self._since = clock()  # of the last thing said, or heard to its end

    # ----------------------------------------------------------------- from outside

    def start(self, transport: asyncio.Transport, first: Mail) -> None:
        """Take the connection over, and begin with this letter."""
        self._transport = transport
        if self._rules.clear and transport.get_extra_info("ssl_object") is None:
            self._socket = transport.get_extra_info("socket")
        transport.set_protocol(self)
        self.wake(first)

    def wake(self, first: Mail | None = None) -> None:
        """There may be letters again."""
        try:
            self._feed(first)
        except Exception as error:
            self._crash(error)

    def leave(self) -> None:
        """Pull no more; goodbye once everything in flight is answered."""
        self._leaving = True
        self.wake()

    def abort(self) -> None:
        """End it here and now."""
        self._end("we ended the connection")

    def expire(self, now: float) -> None:
        """End a wait that took too long; say goodbye after a long idleness."""
        waited = now - self._since
        if not self._owed:
            if waited >= self._rules.idle:
                self.leave()
            return
        step = self._owed[0]
        limit = self._rules.patience if step is _ANSWER else self._rules.timeout
        if step is _GOODBYE and waited >= min(limit, GOODBYE_SECONDS):
            self._end(None)
        elif waited >= limit:
            self._end(f"{self._place} did not answer within {limit:g} s")

    # ----------------------------------------------------------------- what the loop tells

    def data_received(self, data: bytes) -> None:
        try:
            self._read(data)
        except Exception as error:
            self._crash(error)

    def eof_received(self) -> None:
        """Nothing more will be answered: the transport closes itself."""

    def connection_lost(self, error: Exception | None) -> None:
        quiet = self._next is None and (not self._owed or self._owed[0] is _GOODBYE)
        why = f" ({clean(str(error))})" if error else ""
        self._end(None if quiet else f"{self._place} ended the connection{why}")

    def resume_writing(self) -> None:
        """The server is reading again: its time to answer counts from here."""
        self._since = self._clock()

    # ----------------------------------------------------------------- hearing

    def _read(self, data: bytes) -> None:
        """Understand everything that came, and only then say the next thing.

        So an answer that came before its question is found out: at that time, nobody owed it.
        """
        if self._over:
            return
        if self._waits:
            self._owed.clear()  # they are to words that we have not said yet
        elif self._owed == self._usual and self._goes_on_as_usual(data):
            return
        self._busy = True
        for code, words in self._hearing.answers(data):
            self._since = self._clock()  # a part of an answer is none: one byte a second must not outlive us
            self._answer(code, words)
            if self._over:
                return
        self._busy = False
        if self._hearing.nonsense is not None:
            self._nonsense(self._hearing.nonsense)
        elif self._hearing.is_amid and not self._owed:
            self._nonsense(self._hearing.partial)
        else:
            self._go_on()

    def _goes_on_as_usual(self, data: bytes) -> bool:
        """A letter is taken and the next one awaited: what nearly always comes, seen at one look.

        False when it is anything else, and nothing has been done then.
        """
        usual, letter = self._dialect.usual_answers.fullmatch(data), self._out
        if usual is None or letter is None or self._hearing.is_amid or self._overtaken:
            return False
        self._owed.clear()
        self._out = None
        self._since = self._clock()
        self.answers += 1
        self._busy = True
        self._calls.done(letter, f"250 {note(usual[1], letter)}")
        self._busy = False
        if not self._over:
            self._hand_over()
        return True

    @property
    def _overtaken(self) -> bool:
        """Whether our last dot is still with us, so that no answer can be to it."""
        return self._transport.get_write_buffer_size() > self._after_dot

    def _go_on(self) -> None:
        if self._granted:
            self._hand_over()
        elif self._unsaid:
            if not self._owed:
                self._write(self._turn())
        else:
            self._feed()

    def _answer(self, code: int, words: bytes) -> None:
        step = self._owed.popleft() if self._owed else None
        letter = self._out if step is _ANSWER else self._next
        if letter is None or step is None:
            self._aside(step, code, words)
        elif step is _ANSWER:
            self._answered(letter, code, words)
        elif step is _DATA:
            self._data(letter, code, words)
        elif step is _SENDER or step is _RECIPIENT:
            self._announcement(letter, step, code, words)
        else:
            self._aside(step, code, words)

    def _aside(self, step: Step | None, code: int, words: bytes) -> None:
        """An answer about no letter; one that nobody asked for may only say that the server closes."""
        if step is _GOODBYE:
            self._end(None)
        elif code == 421:
            self._closes(words, quiet=step is None and self.answers > 0)
        elif step is None or (step is _RESET and code // 100 != 2):
            self._nonsense(words)
        elif step is _RESET:
            self._must_reset = False

    def _announcement(self, letter: Mail, step: Step, code: int, words: bytes) -> None:
        """The answer to MAIL or RCPT; with PIPELINING a refusal counts only when all answers are in step."""
        last = step is self._dialect.group[-1]
        if code // 100 == 2 and self._no is None:
            self._must_reset, self._granted = True, last
        elif code // 100 in (2, 3) or (code == 503 and step is _SENDER and self._pipelining):
            self._nonsense(words)
        elif code == 421 and (step is _SENDER or self._no is not None):
            self._closes(words)
        else:
            self._no = self._no or _refusal(letter, step, code, words)
            if code == 421 or last or not self._pipelining:
                self._refused(letter, self._no, code=code)

    def _data(self, letter: Mail, code: int, words: bytes) -> None:
        """The answer to DATA."""
        if code == 354 and self._no is None:
            self._granted = True
        elif code == 354 and self._must_reset:
            self._take_nothing(letter, self._no)
        elif code // 100 in (2, 3):
            self._nonsense(words)
        else:
            self._refused(letter, self._no or _refusal(letter, _DATA, code, words), code=code)

    def _take_nothing(self, letter: Mail, failure: DeliveryError | None) -> None:
        """DATA was granted though RCPT was refused: a lone dot ends it, and RCPT's word stands."""
        if failure is not None:
            self._owed.append(_NOTHING)
            self._write(b".\r\n")
            self._refused(letter, failure)

    def _refused(self, letter: Mail, failure: DeliveryError, *, code: int = 0) -> None:
        self._next = self._no = None
        self._unsaid.clear()
        self.answers += code != 421
        self._calls.done(letter, failure)
        if code == 421:
            self._end(f"{self._place} closes the connection ({failure})", code=code)

    def _answered(self, letter: Mail, code: int, words: bytes) -> None:
        """The one answer that counts. One that overtook our dot may refuse, but accepts nothing.

        Such a yes leaves a doubt: uvloop writes once more after ``abort``, so the dot may go out yet.
        """
        if self._overtaken:
            if code // 100 == 2:
                self._nonsense(words)
                return
            self._dot_is_out = False
        self._out = None
        self.answers += code != 421
        if code // 100 == 2:
            self._calls.done(letter, f"{code} {note(words, letter)}")
            return
        failure = _refusal(letter, _ANSWER, code, words)
        as_commands = self._dialect is CHUNKS and code in _NOT_UNDERSTOOD
        if as_commands:
            failure = PermanentFailure(f"{failure}; set chunking = false", code=code, blame=Blame.SENDER)
        self._calls.done(letter, failure)
        if code == 421 or code // 100 == 3 or not self._dot_is_out or as_commands:
            self._end(f"{self._place} ends or confuses the conversation ({failure})", code=code)

    # ----------------------------------------------------------------- saying

    def _feed(self, first: Mail | None = None) -> None:
        """Announce the next letter, if this is the moment."""
        if self._over or self._busy or self._waits or self._next is not None:
            return
        if self._owed and not self._pipelining:
            return
        if self._transport.is_closing() and first is None:
            return  # the loop is about to tell us
        group = self._announce(first)
        if group:
            self._write(group)
        elif self._leaving and not self._owed:
            self._owed.append(_GOODBYE)
            self._write(b"QUIT\r\n")

    def _announce(self, first: Mail | None = None) -> bytes:
        """What to say for the next letter, or nothing when there is none."""
        self._busy = True
        mail = self._fitting(first)
        self._busy = False
        if self._next is None:
            return b""
        recipient = f"RCPT TO:<{self._next.recipient}>\r\n"
        if self._pipelining:
            reset = "RSET\r\n" if self._must_reset else ""
            self._owed.extend((_RESET, *self._dialect.group) if reset else self._dialect.group)
            return f"{reset}{mail}{recipient}{self._dialect.request}".encode()
        group = [(_SENDER, mail.encode()), (_RECIPIENT, recipient.encode()), (_DATA, b"DATA\r\n")]
        self._unsaid.extend([(_RESET, b"RSET\r\n"), *group] if self._must_reset else group)
        return self._turn()

    def _fitting(self, letter: Mail | None) -> str:
        """Pull until a letter comes that this server takes at all; returns its MAIL command."""
        while True:
            if not self._room:
                self._leaving = True
            if letter is None and not self._leaving:
                letter = self._calls.pull()
            if letter is None:
                return ""
            self._next = letter
            try:
                mail = self._rules.terms.mail(letter)
            except PermanentFailure as failure:
                self._next = None
                self._calls.done(letter, failure)
                letter = None
                continue
            self._room -= 1
            return mail

    def _turn(self) -> bytes:
        step, command = self._unsaid.popleft()
        self._owed.append(step)
        return command

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # else the loop is about to tell us
            self._since = self._clock()
            self._after_dot += len(data)
            self._transport.write(data)

    def _hand_over(self) -> None:
        """Make ready what cannot be taken back: a body, its dot, and the announcement of the next."""
        letter = self._next
        if letter is None or self._transport.is_closing():
            return  # the loop is about to tell us; nothing was sent
        self._granted = self._must_reset = self._dot_is_out = False
        self._out, self._next = letter, None
        self._owed.append(_ANSWER)
        self._after = self._announce() if self._pipelining else b""
        self._waits = True
        self._calls.soon(self._say)

    def _say(self) -> None:
        """The irreversible write."""
        try:
            if self._waits and not self._over and not self._transport.is_closing():
                self._say_now()
        except Exception as error:
            self._crash(error)

    def _say_now(self) -> None:
        letter = self._out
        if letter is None:
            return
        if not self._after and self._pipelining:
            self._after = self._announce()  # it may have come meanwhile
        self._busy = True
        goes = self._calls.began(letter)
        self._busy = self._waits = False
        if goes is False:
            self._end(
                "the letter must not go out any more", quiet=True
            )  # and that is no fault of the server's
            return
        self._since = self._clock()
        self._dot_is_out = True
        self._after_dot = len(self._after)
        self._write_uncopied(self._dialect.body(letter, self._after))

    def _write_uncopied(self, pieces: tuple[bytes, ...]) -> None:
        """From where they lie to the system; what does not fit, or must be encrypted, goes the long way.

        Joined first: every piece by itself would be a record of TLS by itself. Then in large strokes: TLS
        keeps back, and counts, only what is written after the connection below is full (``_overtaken``).
        """
        written = 0
        if self._socket is not None and not self._transport.get_write_buffer_size():
            with suppress(OSError):  # the transport meets it as well, and knows what to do
                written = os.writev(self._socket.fileno(), pieces)
        rest = memoryview(b"".join(pieces))[written:] if written < sum(map(len, pieces)) else b""
        for start in range(0, len(rest), _STROKE):
            self._transport.write(rest[start : start + _STROKE])

    # ----------------------------------------------------------------- ending

    def _nonsense(self, words: bytes) -> None:
        """Out of step: whose answer would be whose cannot be known any more."""
        self._end(f'{self._place} said what nobody asked for ("{self._harmless(words)[:80]}")')

    def _closes(self, words: bytes, *, quiet: bool = False) -> None:
        reason = f"{self._place} closes the connection (421 {self._harmless(words)})"
        self._end(None if quiet else reason, code=421)

    def _harmless(self, words: bytes) -> str:
        """The server's words without the readers of whom it could speak."""
        letters = [letter for letter in (self._out, self._next) if letter is not None]
        return clean(plain(words), hide=[pattern for letter in letters for pattern in who(letter)])

    def _end(self, reason: str | None, *, code: int | None = None, quiet: bool = False) -> None:
        """Say and hear nothing more, and give every letter its one outcome."""
        if self._over:
            return
        self._over = True
        self._transport.abort()
        why = reason or f"{self._place} ended the connection"
        try:
            self._let_go(why, code)
            self._calls.ended(TemporaryFailure(why, code=code) if reason and not quiet else None)
        except Exception as error:
            self._calls.crashed(error)

    def _let_go(self, why: str, code: int | None) -> None:
        (out, announced), self._out, self._next = (self._out, self._next), None, None
        if out is not None and self._dot_is_out:
            self._calls.done(out, lost(Stage.ANSWER, why))
        for letter in (None if self._dot_is_out else out, announced):
            if letter is not None:
                self._calls.back(letter, TemporaryFailure(f"{why}; nothing was sent", code=code))

    def _crash(self, error: Exception) -> None:
        """A callback that fails is ours to mend, not the server's: it ends the run, with its own words."""
        self._calls.crashed(error)
        self._end("a fault of our own ended the connection")


def _refusal(letter: Mail, step: Step, code: int, words: bytes) -> DeliveryError:
    return refusal(_STAGES[step], code, plain(words), hide=who(letter))
