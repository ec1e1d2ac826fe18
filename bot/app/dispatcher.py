"""Who wakes the workers: a queue in PostgreSQL, by procrastinate (the extra ``postgresql``).

The ledger is the truth. A job says no more than "there may be work", so that losing one, running it twice or
finding nothing are all the same: whoever runs it leases from the ledger what is free. Every worker also
looks at what is due: what is new there, as after a hold, is put into the queue at once, and everything again
and again, which covers jobs that died with their workers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import make_url

from bot.errors import StoreError

if TYPE_CHECKING:
    from procrastinate import App

QUEUE = "broadside"
GLANCE = 0.5  # seconds between two looks for what is newly due, or goes on
SWEEP = 5.0  # seconds until all that is due is put into the queue again
RETRY = 1.0  # seconds until a database that is gone is asked again


class Dispatcher(Protocol):
    """Wakes workers on as many machines as there are."""

    async def enqueue_chunks(self) -> int:
        """Put what is due into the queue; how many jobs are new there."""
        ...

    async def run_until_idle(self) -> None:
        """Work until the queue is empty."""
        ...

    async def run_forever(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; what is on the wire is finished first."""
        ...


class ProcrastinateDispatcher:
    """The one on procrastinate.

    ``work`` works off what is free, ``due`` names what could be worked on, ``tell`` hears of trouble. As
    many jobs as ``concurrency`` says are worked on side by side.
    """

    def __init__(
        self,
        url: str,
        *,
        work: Callable[[], Awaitable[None]],
        due: Callable[[], Iterable[str]],
        tell: Callable[[str], None] = lambda _: None,
        concurrency: int = 1,
    ) -> None:
        self._url, self._work, self._due, self._tell = url, work, due, tell
        self._concurrency = concurrency
        self._worked = asyncio.Event()  # a job came to its end: was it that somebody holds it?
        self._broken: Exception | None = None  # what a job raised: procrastinate would only log it
        self._over = asyncio.Event()

    async def enqueue_chunks(self) -> int:
        app = self._app()
        async with app.open_async():
            await self._tables(app)
            return await self._enqueue(app, await self._names())

    async def run_until_idle(self) -> None:
        app = self._app()
        async with app.open_async():
            await self._tables(app)
            await self._enqueue(app, await self._names())
            await self._worker(app, wait=False)
        if self._broken:
            raise self._broken

    async def run_forever(self, stop: asyncio.Event) -> None:
        from procrastinate.exceptions import ConnectorException

        while not stop.is_set():
            try:
                app = self._app()
                async with app.open_async():
                    await self._tables(app)
                    await self._serve(app, stop)
            except (ConnectorException, StoreError) as error:
                self._tell(f"the database does not answer, waiting for it: {' '.join(str(error).split())}")
                with suppress(TimeoutError):
                    async with asyncio.timeout(RETRY):
                        await stop.wait()

    # ----------------------------------------------------------------- within an open queue

    async def _serve(self, app: App, stop: asyncio.Event) -> None:
        """The worker and the sweeper side by side, until something fails or a person says stop."""
        tasks = [
            asyncio.create_task(self._worker(app, wait=True)),
            asyncio.create_task(self._sweep(app)),
        ]
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(self._over.wait())]
        await asyncio.wait([*tasks, *ends], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, *ends):
            task.cancel()  # the worker finishes its job first
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
        if self._broken:
            raise self._broken

    async def _worker(self, app: App, *, wait: bool) -> None:
        await app.run_worker_async(
            queues=[QUEUE],
            wait=wait,
            concurrency=self._concurrency,
            install_signal_handlers=False,
            delete_jobs="always",
        )

    async def _sweep(self, app: App) -> None:
        while True:
            self._worked.clear()
            names = await self._names()
            await self._enqueue(app, names)
            await self._forget_stalled(app)
            await self._wait_for_more(seen=set(names))

    async def _wait_for_more(self, *, seen: set[str]) -> None:
        """Until it is time for a sweep, or something is due that was not at the last look."""
        end = time.monotonic() + SWEEP
        while time.monotonic() < end:
            with suppress(TimeoutError):
                async with asyncio.timeout(GLANCE):
                    await self._worked.wait()
            self._worked.clear()
            before, seen = seen, set(await self._names())
            if seen - before:
                return

    async def _names(self) -> list[str]:
        return await asyncio.to_thread(lambda: list(self._due()))

    async def _enqueue(self, app: App, names: Iterable[str]) -> int:
        """One job for each thing that is due, unless it waits in the queue already."""
        from procrastinate.exceptions import AlreadyEnqueued

        new = 0
        for name in names:
            with suppress(AlreadyEnqueued):
                await app.configure_task("work_off", queue=QUEUE, queueing_lock=name).defer_async()
                new += 1
        return new

    async def _forget_stalled(self, app: App) -> None:
        """Jobs of workers that died: what they were about is in the ledger."""
        from procrastinate.jobs import Status

        for job in await app.job_manager.get_stalled_jobs(queue=QUEUE):
            await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=True)

    async def _tables(self, app: App) -> None:
        """Make the queue's tables; of workers that start together on an empty database one does it."""
        from procrastinate.exceptions import ConnectorException

        if not await self._has_tables(app):
            try:
                await app.schema_manager.apply_schema_async()
            except ConnectorException:
                if not await self._has_tables(app):  # else another worker has made them meanwhile
                    raise

    async def _has_tables(self, app: App) -> bool:
        there = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there"
        return bool((await app.connector.execute_query_one_async(there))["there"])

    def _app(self) -> App:
        try:
            from procrastinate import App, PsycopgConnector
        except ImportError as error:
            raise StoreError(
                f"the queue of many machines is not installed ({error}); "
                "run 'make extras' in Broadside's folder"
            ) from error
        conninfo = make_url(self._url).set(drivername="postgresql").render_as_string(hide_password=False)
        app = App(connector=PsycopgConnector(conninfo=conninfo, min_size=1, max_size=4))

        @app.task(name="work_off", queue=QUEUE)
        async def work_off() -> None:
            try:
                await self._work()
            except Exception as error:
                self._broken = error
                self._over.set()
            finally:
                self._worked.set()

        return app
