"""The command that serves the public pages."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bot.cli.confirming import keep_sending_confirmations
from bot.cli.fast import run_fast
from bot.cli.opening import opened
from bot.cli.publishing import stop_on_signals

if TYPE_CHECKING:
    import socket

    from bot.app.workspace import Workspace

EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  names of no machine


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any free.")
@click.pass_obj
def serve_command(workspace: Path, host: str, port: int) -> None:
    """Serve the public pages: the archive, subscribing, settings, leaving.

    Put a web server with HTTPS in front of it (docs/public-pages.md).
    """
    run_fast(_serve(opened(workspace), host, port))


async def _serve(here: Workspace, host: str, port: int) -> None:
    import logging

    from bot.app.hooks import tell_until_stopped
    from bot.cli.logs import log_to_stderr
    from bot.web.app import create_app
    from bot.web.serving import limits_of_this_process, server_for

    log_to_stderr()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = stop_on_signals()

    app = create_app(here, hosts=() if host in EVERYWHERE else (host,))
    proxied = here.settings.site.trusted_proxies > 0
    server = server_for(app, limits=limits_of_this_process(), behind_proxy=proxied)
    _ = here.engine  # a database that cannot be used is told now, and not to the first visitor
    door = _door(host, port)
    _welcome(here, host, door.getsockname()[1])
    running = asyncio.create_task(server.serve(sockets=[door]))
    stopped = asyncio.create_task(stop.wait())
    telling = asyncio.create_task(tell_until_stopped(here, stop))
    confirming = asyncio.create_task(keep_sending_confirmations(here.root, stop))
    await asyncio.wait([running, stopped], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopped.cancel()
    stop.set()
    await asyncio.gather(running, telling, confirming)


def _door(host: str, port: int) -> socket.socket:
    """Where visitors knock."""
    from bot.web.serving import listening_socket

    try:
        return listening_socket(host, port)
    except OSError as error:
        number = error.errno or 0  # a resolver's are negative
        why = os.strerror(number) if number > 0 else "nobody knows this name" if number else error
        problem = f"cannot listen on {host}:{port}: {why}"
        raise click.ClickException(f"{problem}; choose another --host or --port.") from error


def _welcome(here: Workspace, host: str, port: int) -> None:
    shown = "localhost" if host in (*EVERYWHERE, "127.0.0.1", "::1") else host
    click.echo(f"Serving on http://{shown}:{port}/ ({here.mode}; try /subscribe); stop with Ctrl-C.")
    if folder := urlsplit(here.settings.publication.site_url).path:
        click.echo(
            f"! site_url ends in {folder}, but these pages need a name of their own, such as "
            "https://news.example.org: their links do not lead into a folder.",
            err=True,
        )
    if here.mode == "rehearsal":
        click.echo(f"A rehearsal: each confirmation mail is a file below {here.outbox_folder}")
