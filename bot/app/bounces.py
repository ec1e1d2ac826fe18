"""The use cases of mail that comes back: read it, note it, act on it, and say how things stand."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr, parsedate_to_datetime
from hashlib import sha256

from bot.app.faults import A_DAY, hold_blamed, readers_who_blame
from bot.app.judging_once import OneTry
from bot.app.unsigned import remove_by_unsigned, too_many_unsigned
from bot.app.workspace import Workspace
from bot.audience.bounces import Kind, Source, Verdict, mildest
from bot.audience.bounces.blaming import SETTLED
from bot.audience.bounces.boxes import SET_ASIDE, Box, Letter
from bot.audience.bounces.deciding import evidence, most_unsigned, reason_to_stop
from bot.audience.bounces.judging import judged
from bot.audience.bounces.notices import Notice
from bot.audience.leaving_mails import asks_to_leave
from bot.audience.tokens import read_mail_token, read_unsubscribe_token
from bot.audience.verp import LOOKED_AT
from bot.config import Settings
from bot.pace import Outcome
from bot.store import returns
from bot.store.audience import address_key
from bot.store.bouncing import Bounce, Refused
from bot.store.returns import Returned, ReturnedIssue

log = logging.getLogger(__name__)

MAILED = "mail to the unsubscribe address"
OLDEST = timedelta(days=60)  # a mail that claims to be older is taken for as old as that
_SAFELY = timedelta(minutes=10)  # clocks of several workers
_SENT_BEFORE = timedelta(days=30)  # how far before the first bounce a letter may have gone out
_COUNTED = timedelta(days=14)  # for the pace, which compares it with two weeks of sending
_DATE = re.compile(rb"(?im)^date:[ \t]*([^\r\n]{5,60})")
_LINK = re.compile(rb"/u/([a-z][a-z0-9_]{0,39})/([A-Za-z0-9_-]{43})(?![A-Za-z0-9_-])")
_LINKS = 20
_NAME = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?=@)")  # of a Message-ID
_NAMES = 50
_ISSUE_BEFORE = timedelta(days=90)  # how long before its bounce an issue may have been recorded
_OUTCOMES = {Kind.DEAD: Outcome.RETURNED, Kind.FULL: Outcome.RETURNED, Kind.COMPLAINT: Outcome.COMPLAINT}


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """What was found and done; in a dry run, what would be."""

    mails: int = 0
    kinds: Mapping[str, int]  # of the mails understood: dead, full, sender, complaint, notice
    left: int = 0  # not for us: autoreplies and mail of people
    again: int = 0  # seen before
    strangers: int = 0  # about nobody on the list
    set_aside: int = 0  # could not be judged
    unsigned: int = 0  # new ones that anybody may have written: with a bounce address, they change nothing
    left_by_mail: int = 0  # subscriptions that readers ended by a mail to their unsubscribe address
    stopped: Mapping[str, int]  # why readers are written to no longer, and how many
    problems: tuple[str, ...] = ()  # for a person


@dataclass(frozen=True, kw_only=True, slots=True)
class BounceReport:
    """How things stand with what came back in the last days."""

    since: datetime
    returned: tuple[Returned, ...]
    issues: tuple[ReturnedIssue, ...]
    stopped: Mapping[str, int]
    faults: int  # readers whose servers blamed us within the last day


def read_bounces(
    workspace: Workspace,
    box: Box,
    *,
    now: datetime,
    dry_run: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> Readings:
    """Work off a box, until ``stopping``: what is left then waits for the next round.

    A rehearsal only looks: its letters went nowhere, so nobody can have bounced.
    """
    desk = _Desk(workspace, now, dry_run=dry_run or workspace.mode == "rehearsal")
    one_try = OneTry(workspace.state_folder, leaves_mark=not desk.dry_run)
    for block in box.blocks():
        verdicts = {letter.name: one_try.verdicts(letter.raw) for letter in block}
        unjudged = [letter for letter in block if verdicts[letter.name] is None]
        desk.set_aside += len(unjudged)
        if unjudged and not desk.dry_run:
            box.set_aside(unjudged)
        taken = {each.name: desk.take(each, found) for each in block if (found := verdicts[each.name])}
        if not desk.dry_run:
            done = [letter for letter in block if taken.get(letter.name) is True]
            box.settle(done, [letter for letter in block if taken.get(letter.name) is False])
        if stopping():
            break
    one_try.forget_old_marks()
    desk.lying_aside = box.lying_aside() + (desk.set_aside if desk.dry_run else 0)
    return desk.readings()


def take_notices(workspace: Workspace, service: str, notices: Sequence[Notice], *, now: datetime) -> Readings:
    """What a mail service told in a call whose signature was verified: it counts like a signed report."""
    desk = _Desk(workspace, now, dry_run=workspace.mode == "rehearsal")
    for notice in notices:
        desk.told(service, notice)
    return desk.readings()


def sweep_refusals(workspace: Workspace, *, now: datetime, dry_run: bool = False) -> Readings:
    """What mail servers refused while we were sending counts like what comes back."""
    desk = _Desk(workspace, now, dry_run=dry_run or workspace.mode == "rehearsal")
    before = returns.latest(workspace.engine, Source.SMTP)
    since = before - _SAFELY if before else now - OLDEST
    found = workspace.bounces.letters_refused(workspace.mode, since)
    for refused in sorted(
        found, key=lambda letter: letter.at
    ):  # after a crash the latest says how far we came
        desk.refused(refused)
    return desk.readings()


def report(workspace: Workspace, *, now: datetime, days: int = 30) -> BounceReport:
    """Sums for people."""
    since = now - timedelta(days=days)
    return BounceReport(
        since=since,
        returned=tuple(returns.returned(workspace.engine, since)),
        issues=tuple(returns.returned_issues(workspace.engine, since)),
        stopped=returns.stopped(workspace.engine, since),
        faults=readers_who_blame(workspace, now),
    )


class _Desk:
    """One round: takes mails, notes what they mean, and stops whom it must."""

    def __init__(self, workspace: Workspace, now: datetime, *, dry_run: bool) -> None:
        self.dry_run = dry_run
        self._workspace, self._now, self._store = workspace, now, workspace.bounces
        self._kinds: Counter[str] = Counter()
        self._stopped: dict[str, str] = {}  # reader: why
        self._pending: dict[str, list[Bounce]] = {}  # in a dry run: what would have been noted
        self._doubtful: dict[str, str] = {}  # reader: why, by reports that anybody may have written
        self._accounts: set[str] = set()  # whose letters came back
        self.set_aside = self.lying_aside = 0
        self._mails = self._left = self._again = self._strangers = self._new_faults = 0
        self._complained = self._unsigned = self._left_by_mail = 0

    # ------------------------------------------------------------------ mails

    def take(self, letter: Letter, verdicts: tuple[Verdict, ...]) -> bool:
        """Whether the mail was understood and is dealt with; else it stays where it is."""
        self._mails += 1
        if self._leaves(letter.raw, verdicts):
            return True
        if all(verdict.kind.left_alone for verdict in verdicts):
            self._left += 1
            return False
        digest = sha256(letter.raw).hexdigest()[:40]
        names = _message_names(letter.raw)
        reader = self._signed(letter.raw)
        if reader:
            at = _sent_at(letter.raw, self._now)
            return self._note(reader, mildest(verdicts), digest, at, signed=True, names=names)
        taken = [self._by_address(verdict, digest, names) for verdict in verdicts]  # each of them
        return all(taken)

    def told(self, service: str, notice: Notice) -> None:
        """A signed event of a service. It names the reader by address, and counts once by its own name."""
        if notice.unknown:
            self._left += 1
            log.warning("%s sent an event of a type that is not known: %s", service, notice.unknown)
            return
        verdict = notice.verdict
        reader = self._store.reader_of(address_key(verdict.address)) if verdict.address else None
        digest = sha256(f"{service} {notice.id}".encode()).hexdigest()[:40]
        names = _message_names(notice.message_id.encode())
        self._note(reader or "", verdict, digest, self._now, signed=True, names=names)

    def _leaves(self, raw: bytes, verdicts: tuple[Verdict, ...]) -> bool:
        """Whether a reader's own mail to their unsubscribe address ended a subscription, now or earlier."""
        here = self._workspace
        paths, names = here.return_paths, list(here.settings.newsletters)
        to = asks_to_leave(raw, verdicts) if paths else b""
        for token in paths.unsubscribing_in(to) if paths and to else ():
            if found := read_mail_token(here.settings.signing_keys, token, newsletters=names):
                reader, newsletter = found
                if self.dry_run:
                    self._left_by_mail += self._store.knows(reader)
                elif here.leaving.unsubscribe(reader, newsletter, now=self._now, means=MAILED):
                    self._left_by_mail += 1
                    log.info("a reader left %s by mail", newsletter)
                return True
        return False

    def _signed(self, raw: bytes) -> str | None:
        """Who it is about, by a token that we signed: the return path, or the link in the returned mail."""
        paths, keys = self._workspace.return_paths, self._workspace.settings.signing_keys
        if paths and (reader := paths.reader_in(raw)):
            return reader
        for newsletter, token in _LINK.findall(raw)[:_LINKS]:
            if reader := read_unsubscribe_token(keys, token.decode(), newsletter=newsletter.decode()):
                return reader
        return None

    def _by_address(self, verdict: Verdict, digest: str, names: Collection[str] = ()) -> bool:
        """Anybody can write a mail with an address and a date in it: it is worth no more than words now."""
        if verdict.kind is Kind.COMPLAINT:
            self._complained += 1
            return False
        reader = self._store.reader_of(address_key(verdict.address)) if verdict.address else None
        words = Verdict(kind=verdict.kind, source=Source.TEXT, code=verdict.code, words=verdict.words)
        return self._note(reader or "", words, digest, self._now, names=names)

    def _note(
        self,
        reader: str,
        verdict: Verdict,
        digest: str,
        at: datetime,
        *,
        signed: bool = False,
        names: Collection[str] = (),
    ) -> bool:
        if not verdict.kind.counts:
            self._kinds[Kind.NOTICE] += 1
        elif not reader or not self._store.knows(reader):
            self._strangers += 1
        else:
            bounce = Bounce(
                digest=f"{digest}:{reader}",
                at=at,
                subscriber=reader,
                kind=verdict.kind,
                source=verdict.source,
                code=verdict.code,
                said=verdict.words,
                signed=signed,
                heard_at=self._now,
                issue=self._issue_of(reader, names, at),
            )
            subscriptions = self._store.subscriptions(reader)  # a decision may end them
            if self._record(bounce) and signed and not self.dry_run:
                self._weigh(bounce, subscriptions)
        return True

    def _issue_of(self, reader: str, names: Collection[str], at: datetime) -> int | None:
        """By the Message-ID of the mail that came back: it is made from the issue and the reader."""
        if not names:
            return None
        here, since = self._workspace, at - _ISSUE_BEFORE
        publication = here.mailings.publication
        return self._store.issue_by_message(names, reader, here.mode, publication, since=since)

    def _weigh(self, bounce: Bounce, subscriptions: Mapping[str, datetime]) -> None:
        """Tell the pace of the account that carried the letter; a reader counts once, and not again later.

        Only with a token of ours, because anybody can write a report; and only what came lately, behind a
        letter that it can be about: whoever has one letter can write any date into as many as they like. A
        complaint of somebody who subscribed lately stops the mail to them and to nobody else. What was
        refused while we were sending was counted then. After a crash it may be missing there, and is never
        counted twice.
        """
        outcome = _OUTCOMES.get(Kind(bounce.kind))
        if outcome is None or bounce.at < self._now - _COUNTED:
            return
        since, until = bounce.at - _SENT_BEFORE, bounce.at + _SAFELY
        of, mode = bounce.subscriber, self._workspace.mode
        letter = self._store.latest_letter(of, mode, since=since, until=until)
        if letter is None or letter.channel not in self._workspace.settings.channels:
            return
        for other in self._store.history(bounce.subscriber):
            same = _OUTCOMES.get(Kind(other.kind)) is outcome and other.source != Source.SMTP
            if same and other.signed and other.digest != bounce.digest:
                return
        subscribed = subscriptions.get(letter.newsletter, self._now)
        if outcome is Outcome.COMPLAINT and subscribed > self._now - SETTLED:
            return
        account = self._workspace.settings.pace_of(letter.channel).account
        self._workspace.pace.note(account, outcome)
        self._accounts.add(account)

    # ------------------------------------------------------------------ refusals while we were sending

    def refused(self, letter: Refused) -> None:
        """A letter of the ledger that failed for good."""
        at_recipient = "refused the recipient" in letter.said
        at_data = "refused the email" in letter.said or "refused the finished email" in letter.said
        around = "after RCPT TO" if at_recipient else "after DATA" if at_data else "after MAIL FROM"
        said = letter.said.partition(": ")[2] or letter.said
        kind, code = judged(said, around=around, ours=_our_domains(self._workspace.settings))
        self._record(
            Bounce(
                digest=f"letter {letter.name}",
                at=letter.at,
                subscriber=letter.subscriber,
                kind=kind or (Kind.FULL if at_recipient else Kind.SENDER),
                source=Source.SMTP,
                code=code or str(letter.code),
                said=letter.said[:200],
                signed=True,
                heard_at=self._now,
                issue=letter.issue,
            )
        )

    # ------------------------------------------------------------------ acting

    def _record(self, bounce: Bounce) -> bool:
        """Note it, then decide; also when it was noted before, for a crash may have come in between.

        Whether it is new.
        """
        if self.dry_run:
            new = not any(bounce.digest == each.digest for each in self._known(bounce.subscriber))
            if new and not self._was_told_today(bounce):
                self._pending.setdefault(bounce.subscriber, []).append(bounce)
        else:
            new = not self._was_told_today(bounce) and self._store.record(bounce)
        if new:
            self._kinds[bounce.kind] += 1
            self._new_faults += bounce.kind == Kind.SENDER and bounce.signed
            self._unsigned += not bounce.signed
            log.info("a mail came back: %s %s", bounce.kind, bounce.code, extra={"source": bounce.source})
        else:
            self._again += 1
        if bounce.kind != Kind.SENDER:
            self._decide(bounce.subscriber)
        return new

    def _known(self, reader: str) -> list[Bounce]:
        """All about one reader, the oldest first; in a dry run also what would have been noted."""
        found = [*self._store.history(reader), *self._pending.get(reader, [])]
        return sorted(found, key=lambda bounce: bounce.at)

    def _was_told_today(self, bounce: Bounce) -> bool:
        """Of what anybody can write, one a day is kept for each reader and meaning."""
        return not bounce.signed and any(
            not each.signed and each.kind == bounce.kind and each.at.date() == bounce.at.date()
            for each in self._known(bounce.subscriber)
        )

    def _decide(self, reader: str) -> None:
        """By what is signed; where no return path is signed, by what else was heard, too, but not yet."""
        history = self._known(reader)
        if not history or reader in self._stopped:
            return
        since = history[0].at - _SENT_BEFORE
        sent = self._store.sent(reader, self._workspace.mode, since=since)
        if reason := reason_to_stop([each for each in history if each.signed], sent, self._now):
            self._doubtful.pop(reader, None)
            if self.dry_run or self._store.suppress(reader, reason=f"bounce: {reason}", now=self._now):
                self._stopped[reader] = reason
                log.info("a reader is written to no longer: %s", reason)
            return
        signs = self._workspace.return_paths is not None
        if not signs and (reason := reason_to_stop(evidence(history, sent), sent, self._now)):
            self._doubtful[reader] = f"{reason}, by reports that are not signed"

    def _remove_doubtful(self) -> Sequence[str]:
        """At the end of the round, for it matters how many they are."""
        if not self._doubtful:
            return ()
        if self.dry_run:
            too_many = len(self._doubtful) > most_unsigned(self._store.readers())
            self._stopped |= {} if too_many else self._doubtful
            return ()
        self._stopped |= remove_by_unsigned(self._workspace, self._doubtful, self._now)
        return tuple(filter(None, (too_many_unsigned(self._workspace, self._now),)))

    def readings(self) -> Readings:
        """What was done; holds the channels when too many servers blame us, pauses accounts likewise."""
        kept = self._remove_doubtful()
        return Readings(
            mails=self._mails + self.set_aside,
            kinds=dict(sorted(self._kinds.items())),
            left=self._left,
            again=self._again,
            strangers=self._strangers,
            set_aside=self.set_aside,
            stopped=dict(Counter(self._stopped.values())),
            unsigned=self._unsigned,
            left_by_mail=self._left_by_mail,
            problems=(*kept, *self._held(), *self._paused(), *self._complaints(), *self._lying_aside()),
        )

    def _paused(self) -> Sequence[str]:
        """A sentence for each account of which too much came back."""
        paces, pace = self._workspace.settings.paces, self._workspace.pace
        names = sorted(self._accounts)
        found = [said for name in names for said in pace.flush(paces, only=name, now=self._now)]
        for said in found:
            log.warning("%s", said)
        return found

    def _complaints(self) -> Sequence[str]:
        if not self._complained:
            return ()
        return (
            f"{self._complained} complaints carry no token of ours and stay in the mailbox: look at them",
        )

    def _lying_aside(self) -> Sequence[str]:
        if not self.lying_aside:
            return ()
        where = f"the folder {SET_ASIDE} of the bounce mailbox"
        return (
            f"mails that cannot be judged: {self.lying_aside} in {where}; look at them, then delete them",
        )

    def _held(self) -> Sequence[str]:
        if not self._new_faults:
            return ()
        since = self._now - A_DAY
        told = returns.returned(self._workspace.engine, since)
        said = next((f"{each.code} {each.said}".strip() for each in told if each.kind == Kind.SENDER), "")
        count = readers_who_blame(self._workspace, self._now)
        words = f"the mail systems of {count} readers blamed us within a day; the most said: {said[:200]}"
        held = () if self.dry_run else hold_blamed(self._workspace, words, self._now)
        if held:
            words += f"; {', '.join(held)} is held: mend it (bot doctor --dns), then bot resume"
        else:
            words += "; nothing is newly held: look with bot bounces --report and bot doctor --dns"
        log.warning("%s", words)
        return (words,)


def _our_domains(settings: Settings) -> frozenset[str]:
    """Of our From addresses and of the return path."""
    addresses = [*(newsletter.sender for newsletter in settings.mailings), settings.bounces.address]
    return frozenset(parseaddr(each)[1].rpartition("@")[2].lower() for each in addresses) - {""}


def _message_names(raw: bytes) -> frozenset[str]:
    """What may stand before the @ of a Message-ID of ours."""
    found = _NAME.findall(raw, 0, LOOKED_AT)
    return frozenset(name.decode() for name in found[:_NAMES])


def _sent_at(raw: bytes, now: datetime) -> datetime:
    """When a report was written, as far as it can be believed."""
    found = _DATE.search(raw.partition(b"\n\n")[0].partition(b"\r\n\r\n")[0])
    try:
        said = parsedate_to_datetime(found[1].decode("ascii", "replace")) if found else now
        said = said.astimezone(UTC) if said.tzinfo else said.replace(tzinfo=UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return now
    return min(max(said, now - OLDEST), now)
