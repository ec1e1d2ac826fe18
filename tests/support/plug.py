"""Pulling the plug: real processes that send one issue to many readers, and that are killed again and again.

The mail server is our own and counts every letter by its Message-ID in the moment it takes it, before it
answers. A kill comes after some of them, at times before the answer is out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.model import State
from bot.store.audience import Signup
from bot.store.engine import reading
from bot.store.letterbook import read_mailing
from bot.store.schema import letter
from tests.support.listening import end, free_port
from tests.support.live_workspace import NOW, SETTINGS, ended, make_live, start

HOUR = timedelta(hours=1)
_ID = re.compile(rb"(?im)^Message-ID: *<([^@>]*)")
_EHLO = b"250-plug.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
_ANSWERS = {b"EHLO": _EHLO, b"QUIT": b"221 bye\r\n", b"DATA": b"354 go ahead\r\n"}


class Sink:
    """A mail server that takes everything, counts it, and tells ``hook`` before it answers."""

    def __init__(self) -> None:
        self.port = 0
        self.copies: Counter[str] = Counter()
        self.moments: list[float] = []  # when each came, by the monotonic clock
        self.hook: Callable[[], None] = lambda: None
        self.talks: set[_Talk] = set()
        self.is_shut = False  # whoever comes now is greeted when it opens
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen, on the port of the last time."""
        loop = asyncio.get_running_loop()
        self.port = self.port or free_port()  # it must be there for the next time, too
        self._server = await loop.create_server(lambda: _Talk(self), "127.0.0.1", self.port)

    async def kill(self) -> None:
        """Gone, with every conversation; what had been taken was taken."""
        assert self._server is not None
        await end(self._server, self.hang_up)

    def let_in(self) -> None:
        """Greet those that wait, and whoever comes."""
        self.is_shut = False
        for talk in self.talks:
            talk.greet()

    def hang_up(self) -> None:
        """Every conversation ends here and now; an answer that is being given is lost."""
        for talk in list(self.talks):
            talk.hang_up()

    @property
    def halfway(self) -> int:
        """Letters of which a part has come and the end has not."""
        return sum(talk.is_halfway for talk in self.talks)

    def take(self, content: bytes) -> None:
        found = _ID.search(content)
        assert found, "a letter without a Message-ID"
        self.copies[found[1].decode()] += 1
        self.moments.append(time.monotonic())
        self.hook()

    async def after(self, count: int, strike: Callable[[], None], *, patience: float) -> bool:
        """Call ``strike`` when that many more were taken; False when it took too long and was not called."""
        struck, left = asyncio.Event(), count

        def one() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                strike()
                struck.set()

        self.hook = one
        try:
            async with asyncio.timeout(patience):
                await struck.wait()
        except TimeoutError:
            return False
        finally:
            self.hook = lambda: None
        return True


class _Talk(asyncio.Protocol):
    def __init__(self, sink: Sink) -> None:
        self._sink, self._buffer, self._in_body = sink, b"", False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sink.talks.add(self)
        if not self._sink.is_shut:
            self.greet()

    def greet(self) -> None:
        self._transport.write(b"220 plug.example.test\r\n")

    def connection_lost(self, _: Exception | None) -> None:
        self._sink.talks.discard(self)

    @property
    def is_halfway(self) -> bool:
        """Whether a letter has begun to come and has not ended."""
        return self._in_body and bool(self._buffer)

    def hang_up(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        said = []
        while (answer := self._answer()) is not None:
            said.append(answer)
        if not self._transport.is_closing():
            self._transport.write(b"".join(said))

    def _answer(self) -> bytes | None:
        """To the next whole command or letter; None when none is complete."""
        end = b"\r\n.\r\n" if self._in_body else b"\r\n"
        piece, found, rest = self._buffer.partition(end)
        if not found:
            return None
        self._buffer = rest
        if self._in_body:
            self._in_body = False
            self._sink.take(piece)
            return b"250 taken\r\n"
        verb = piece[:4].upper()
        self._in_body = verb == b"DATA"
        return _ANSWERS.get(verb, b"250 ok\r\n")


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """A mail server for as long as the block lasts."""
    server = Sink()
    await server.open()
    try:
        yield server
    finally:
        await server.kill()


# --------------------------------------------------------------------------- machines


class Machine:
    """A workspace folder of its own, as on a machine of its own, and the process that works in it."""

    def __init__(self, here: Path, command: tuple[str, ...], *, lease: float | None = None) -> None:
        self.here, self.command, self.lease = here, command, lease
        self.process: asyncio.subprocess.Process
        self.complaint = ""
        self.ready = asyncio.Event()  # it said something
        self._said: asyncio.Task[str]

    async def start(self, moment: datetime | None) -> None:
        self.process = await start(self.here, moment, *self.command, lease=self.lease)
        self.ready.clear()
        self._said = asyncio.create_task(self._listen())

    def kill(self) -> None:
        """No goodbye."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def stop(self) -> None:
        """Until ``wake`` it does nothing at all, as on a machine that sleeps."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def end(self, *, patience: float = 60) -> int:
        """Wait for its end; the exit code, negative where a signal ended it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(patience):
            self.complaint = (await self.process.stderr.read()).decode()
            return await self.process.wait()

    async def said(self) -> str:
        """What it printed, once it has ended."""
        return await self._said

    async def _listen(self) -> str:
        assert self.process.stdout is not None
        said = ""
        async for line in self.process.stdout:
            said += line.decode()
            self.ready.set()
        return said


def machine(
    folder: Path,
    port: int,
    *,
    url: str = "",
    connections: int,
    command: tuple[str, ...],
    lease: float | None = None,
) -> Machine:
    """A new machine of the publication; all of them share the database at ``url``."""
    settings = SETTINGS.format(port=port) + f'security = "none"\nconnections = {connections}\n'
    here = make_live(folder, settings)
    if url:
        with (here / ".env").open("a") as file:
            file.write(f"BOT_DATABASE_URL={url}\n")
    return Machine(here, command, lease=lease)


def subscribe(here: Path, count: int, *, now: datetime = NOW) -> None:
    """That many readers, and schedules that the ledger has known for an hour."""
    workspace = Workspace(here)
    workspace.ledger.note_schedules(workspace.schedules(), now - HOUR)
    signups = (
        Signup(address=f"reader{number}@inbox{number % 7}.ngo", name="", lang="", newsletters=("weekly",))
        for number in range(count)
    )
    workspace.audience.add_many(signups, now=datetime.now(UTC), source="test", dry=False)
    workspace.engine.dispose()


async def plan(here: Path, *, now: datetime = NOW) -> None:
    """Record the issue and send nothing of it, as a planner does that is stopped at once."""
    workspace = Workspace(here)
    try:
        await tick(workspace, now, stopping=lambda: True)
    finally:
        await workspace.close()
        workspace.engine.dispose()


# --------------------------------------------------------------------------- what came of it


@dataclass(frozen=True, kw_only=True)
class Toll:
    """What the kills cost, by the mail server's count and by the ledger's."""

    readers: int
    kills: int
    lost: int  # readers without a letter
    repeats: int  # letters that came once more
    unexplained: int  # of these, those of which the ledger knows no doubt
    doubts: int  # that the ledger counted
    unsettled: int  # letters that the ledger does not call sent
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.readers} readers, {self.kills} kills in {self.seconds:.0f} s: {self.lost} lost, "
            f"{self.repeats} repeats ({self.unexplained} unknown to the ledger), {self.doubts} doubts, "
            f"{self.unsettled} unsettled"
        )


def toll(here: Path, sink: Sink, *, kills: int, seconds: float) -> Toll:
    """The mail server's count beside the ledger's."""
    workspace = Workspace(here)
    publication = workspace.mailings.publication
    with reading(workspace.engine) as connection:
        key = read_mailing(connection, 1, publication).key
        rows = connection.execute(select(letter.c.reader, letter.c.doubts, letter.c.state)).all()
    workspace.engine.dispose()
    doubts = {key(row.reader)[:32]: row.doubts for row in rows}
    assert set(sink.copies) <= set(doubts), "a letter that is nobody's"
    return Toll(
        readers=len(rows),
        kills=kills,
        lost=sum(not sink.copies[name] for name in doubts),
        repeats=sum(count - 1 for count in sink.copies.values()),
        unexplained=sum(max(0, count - 1 - doubts[name]) for name, count in sink.copies.items()),
        doubts=sum(doubts.values()),
        unsettled=sum(row.state != State.SENT.value for row in rows),
        seconds=seconds,
    )


class Trial:
    """Machines that send one issue together, and somebody who pulls their plugs."""

    def __init__(self, machines: list[Machine], sink: Sink, *, seed: int = 11) -> None:
        self.machines, self.sink = machines, sink
        self.chance = random.Random(seed)
        self.kills = 0
        self._start, self._late = time.monotonic(), timedelta()

    @property
    def moment(self) -> datetime:
        """It is NOW at the start, and time goes on from there for every process, by an hour in ``go_on``."""
        return NOW + self._late + timedelta(seconds=time.monotonic() - self._start)

    async def start(self) -> None:
        for each in self.machines:
            await each.start(self.moment)

    async def pull(self, times: int, *, of: int) -> None:
        """Kill one of them at random and start it again, so often before ``of`` letters are through.

        Each time after up to twice its part of what is left: a quick machine is killed sooner. Something is
        kept back for what others send while one starts again.
        """
        kept = 10 + times // 8
        for pulled in range(times):
            left = of - len(self.sink.copies)
            letters = max(2 * left // (times - pulled + kept), 2)
            victim = self.chance.choice(self.machines)
            if not await self._strike(victim, letters):
                return
            if (code := await victim.end()) != -9:
                assert code in (0, 1), victim.complaint
                return  # it came to its end before
            self.kills += 1
            await victim.start(self.moment)

    def some(self, strikes: int, *, of: int) -> int:
        """How many letters until the next of so many strikes: up to twice its part of what is left."""
        left = of - len(self.sink.copies)
        return self.chance.randint(1, max(2 * left // (strikes + 10), 2))

    async def _strike(self, victim: Machine, letters: int) -> bool:
        """Kill it after some letters, at times in the middle of nothing; False when none came any more."""
        if self.chance.random() < 0.15:  # while it starts, recovers or plans, or others send
            await self.sink.after(letters, lambda: None, patience=self.chance.uniform(0, 0.6))
            victim.kill()
            return True
        count = self.chance.randint(1, letters)
        if self.chance.random() < 0.5:
            return await self.sink.after(count, victim.kill, patience=30)
        if not await self.sink.after(count, lambda: None, patience=30):
            return False
        await asyncio.sleep(self.chance.uniform(0, 0.01))
        victim.kill()
        return True

    async def go_on(self) -> bool:
        """An hour later, start again those that have nothing to do; False when nothing is left to be sent.

        A run has ended then, with letters put off; a worker never ends, and is told to.
        """
        workers = "worker" in self.machines[0].command
        if not workers and any(each.process.returncode is None for each in self.machines):
            return True
        if not await asyncio.to_thread(self.left):
            return False
        self._late += HOUR
        for each in self.machines:
            if workers:
                await each.ready.wait()
                each.process.terminate()
            code = await each.end()
            assert code in (0, 1), each.complaint
            assert "Traceback" not in each.complaint, each.complaint
            await each.start(self.moment)
        return True

    async def finish(self, *, patience: float = 300) -> Toll:
        """Let them come to an end, then send what was put off for later."""
        if "worker" in self.machines[0].command:
            await self._stop_workers(patience=patience)
        for each in self.machines:
            code = await each.end(patience=patience)
            assert code in (0, 1), each.complaint
            assert "Traceback" not in each.complaint, each.complaint
        return await self.settled()

    async def settled(self) -> Toll:
        """What was put off is sent hour by hour; then the toll."""
        for hour in range(1, 12):
            if not self.left():
                break
            last = await ended(await start(self.machines[0].here, self.moment + hour * HOUR, "run", "--once"))
            assert "Traceback" not in last.err, last.err
        return self.toll()

    async def _stop_workers(self, *, patience: float) -> None:
        """Workers never end by themselves: say goodbye when nothing is left but what was put off."""
        async with asyncio.timeout(patience):
            while await asyncio.to_thread(self.left, State.PLANNED, State.CLAIMED):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
            for each in self.machines:
                await each.ready.wait()
                each.process.terminate()

    def left(self, *states: State) -> int:
        """Letters that are still to be sent, or those in these states."""
        workspace = Workspace(self.machines[0].here)
        try:
            progress = workspace.mailings.progress(1)
            return sum(progress.counts[state] for state in states) if states else progress.left
        finally:
            workspace.engine.dispose()

    def toll(self) -> Toll:
        return toll(
            self.machines[0].here, self.sink, kills=self.kills, seconds=time.monotonic() - self._start
        )
