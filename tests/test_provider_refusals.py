"""What the large providers say of a sender whom they do not believe stops the run; no reader pays for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.live_workspace import NOW, addresses, mail_only
from support.smtp_server import smtp_server

from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.channels.email.replies import Stage, refusal
from bot.errors import Blame, PermanentFailure
from bot.sender.report import Report

# In the form of Gmail, Outlook.com, Yahoo and Postfix; the words are ours.
REFUSALS = [
    "550-5.7.26 Blocked because the sender is unauthenticated.\r\n550 5.7.26 Set up SPF or DKIM",
    "550 5.7.515 Access denied, the sending domain does not meet the required authentication level",
    "550 5.7.25 The sending address has no PTR record",
    "550-5.7.1 Our system has detected that this message is likely unsolicited\r\n550 5.7.1 mail",
    "554 5.7.9 Message not accepted for policy reasons",
    "550 5.7.23 The message was rejected because of SPF",
    "550 5.7.509 Access denied, sending domain does not pass DMARC verification",
]


@pytest.mark.parametrize("answer", REFUSALS)
@pytest.mark.parametrize("stage", [Stage.SENDER, Stage.RECIPIENT, Stage.DATA, Stage.ANSWER])
def test_it_is_the_senders_fault_at_every_step(stage: Stage, answer: str) -> None:
    """Also after RCPT, where providers like to say what they think of the sender."""
    first = answer.split("\r\n")[0]

    error = refusal(stage, int(first[:3]), first[4:])

    assert isinstance(error, PermanentFailure)
    assert error.blame is Blame.SENDER


@pytest.mark.parametrize("step", ["RCPT", "DOT"])
@pytest.mark.parametrize("answer", REFUSALS[:4])
async def test_the_run_stops_and_nobody_is_lost(tmp_path: Path, step: str, answer: str) -> None:
    """One letter a connection is refused and waits; when it is mended, all readers get theirs, once."""
    async with smtp_server() as server:
        here = mail_only(tmp_path, server.port, readers=30)
        server.fail(step, answer, times=999)

        stopped = await run(here, NOW)

        assert 999 - server.faults[0].times <= 2
        assert any("stopped for this run" in problem and "5.7." in problem for problem in stopped.problems)
        server.faults.clear()
        server.taken.clear()

        await run(here, NOW + timedelta(hours=1))

        assert sorted(taken.recipients[0] for taken in server.taken) == sorted(addresses(30))


async def run(here: Path, now: datetime) -> Report:
    workspace = Workspace(here)
    try:
        return (await tick(workspace, now)).report
    finally:
        await workspace.close()
        workspace.release()
