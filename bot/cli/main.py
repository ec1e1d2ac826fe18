"""The ``bot`` command. Only click is imported here; each command's module is imported when it runs.

Exit codes: 0 well; 1 a delivery failed or needs a person; 2 wrong usage; 3 a setting, name or template is
wrong; 4 an item file is wrong or blocked; 5 another run is busy; 6 the database cannot be used.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import click

import bot
from bot.errors import BroadsideError
from bot.printable import printable

# group -> name -> (module, one line of help): the help page needs no command's module.
GROUPS = {
    "Every day": {
        "init": ("setup", "Make a workspace; --sample with items to rehearse with."),
        "add": ("items", "Add an item from a file, standard input, or a title and a link."),
        "list": ("items", "List the items of the queue."),
        "show": ("items", "Show one item and what the checks say of it."),
        "check": ("items", "Check every item, or the named ones."),
        "approve": ("items", "Approve items: only approved items ever go out."),
        "hold": ("control", "Stop one item, a channel, or everything (STOP)."),
        "resume": ("control", "Take a hold away again."),
        "plan": ("planning", "What goes out when in the next days, and why an item waits."),
        "preview": ("publishing", "Write the newsletter and the posts as pages to look at."),
        "status": ("ledger", "What was sent, is due, failed, or is unknown."),
    },
    "Readers": {
        "subscribers": ("readers", "Add, import, list, show, remove and erase readers."),
        "bounces": ("bounces", "Read what came back; stop writing to addresses that are dead."),
    },
    "Channels and mail": {
        "doctor": ("setup", "What is configured, what is missing, which channel answers."),
        "send-test": ("send_test", "Really send the next issue to one address, as a test."),
        "dkim": ("dkim", "Make, show and renew the key that signs the mail."),
        "templates": ("templates", "Which templates are yours; copy, compare, remove copies."),
        "hooks": ("hooks", "Other programs that are told what happens: list, retry, test."),
    },
    "Running": {
        "go-live": ("going_live", "Examine, show what goes out next, ask, and set mode to live."),
        "rehearse": ("going_live", "Set mode back to rehearsal: nothing leaves this computer."),
        "run": ("publishing", "Send what is due, again and again; --once for cron."),
        "serve": ("serve", "Serve the public pages: archive, subscribing, leaving."),
        "worker": ("worker", "Help 'bot run' send, on one of many machines (PostgreSQL)."),
        "build": ("site", "Write what went out as a web site of plain files."),
        "cancel": ("control", "Cancel an issue on its way: what has not begun never goes out."),
        "retry": ("ledger", "Put failed deliveries back in line."),
        "settle": ("ledger", "Say whether an unknown delivery went out."),
        "forget-rehearsal": ("control", "Take back what was rehearsed, and empty outbox/."),
    },
    "Moving": {
        "export": ("privacy", "Write everything out, to go elsewhere."),
    },
}
COMMANDS = {name: command for commands in GROUPS.values() for name, command in commands.items()}

HIDDEN = {"send-confirmations": "confirming"}  # what the program starts itself


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return None
        name = HIDDEN.get(cmd_name) or COMMANDS[cmd_name][0]
        module = importlib.import_module(f"bot.cli.{name}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_") + "_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        widest = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), text) for name, (_, text) in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise _with_a_guess(error, args[0]) from None


def _with_a_guess(error: click.UsageError, written: str) -> click.UsageError:
    import difflib

    near = difflib.get_close_matches(written, COMMANDS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else " 'bot --help' lists them."
    return click.UsageError(f"There is no command {written!r}.{hint}", ctx=error.ctx)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--workspace",
    "-w",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    show_default="the current folder",
    envvar="BOT_WORKSPACE",
    help="The folder with bot.toml and queue/.",
)
@click.version_option(bot.__version__, prog_name="bot")
@click.pass_context
def cli(ctx: click.Context, workspace: Path) -> None:
    """Broadside: from a folder of items to a newsletter, Mastodon and Telegram.

    A fresh workspace rehearses: everything is written to outbox/ and nothing is sent.
    """
    ctx.obj = workspace


def _disk_problem(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; check the disk and the folder's rights, then run it again"


def main(args: Sequence[str] | None = None) -> None:
    """Run a command; a person's mistake is one line and an exit code, never a traceback."""
    logging.getLogger("bot").addHandler(logging.NullHandler())  # commands say themselves what matters
    try:
        code = cli.main(args=args, prog_name="bot", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BroadsideError as error:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(printable(str(error)), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, a folder that must not be written: no fault of the program
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(printable(_disk_problem(error)), err=True)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)
