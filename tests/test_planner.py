"""What goes out when, what waits and why; and that nothing is lost or said twice, whatever happens."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from bot.model import History, Item, Newsletter, Plan, Posting, Status
from bot.planner import forecast, next_items, plan, played
from bot.schedule import parse_slots, slots_between, utc

BANGKOK = ZoneInfo("Asia/Bangkok")
LONDON = ZoneInfo("Europe/London")
FRIDAY = datetime(2026, 11, 27, 9, tzinfo=BANGKOK)  # a slot of the weekly newsletter
NOON = datetime(2026, 11, 27, 12, 30, tzinfo=BANGKOK)  # a slot of the Mastodon account
LONG_AGO = datetime(2026, 11, 1, tzinfo=BANGKOK)
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)

WEEKLY = Newsletter(
    name="weekly",
    title="The Weekly Shelf",
    tagline="",
    lang="en",
    langs=(),
    channel="email",
    slots=("Fri 09:00",),
    sender="The Weekly Shelf <news@example.org>",
    reply_to="",
    list_id="weekly.example.org",
    min_items=1,
)
MASTODON = Posting(channel="mastodon", kind="mastodon", slots=("Mon-Fri 12:30",))


def item(name, **fields):
    """An approved item, unless its fields say otherwise."""
    fixed = {"path": Path(f"queue/{name}.md"), "title": name, "url": f"https://example.org/{name}"}
    given = {"source": "A paper", "published": date(2026, 11, 20), "status": Status.APPROVED}
    return Item(id=name, **fixed, **{**given, **fields})


def running(**known):
    """The history of a bot that has known its schedules for long and dealt with all slots before today."""
    names = ("weekly", "mastodon", "telegram")
    today = datetime(2026, 11, 27, tzinfo=BANGKOK)
    first = {"added_at": dict.fromkeys(names, LONG_AGO), "last_slot": dict.fromkeys(names, today)}
    return History(**{**first, **known})


def made(items, schedules, history, now, **options):
    """The plan for a mix of newsletters and postings."""
    newsletters = [schedule for schedule in schedules if isinstance(schedule, Newsletter)]
    postings = [schedule for schedule in schedules if isinstance(schedule, Posting)]
    return plan(items, newsletters, postings, history, now, zone=BANGKOK, **options)


def reasons(items, schedules, history, now, **options):
    """Why items wait, as text."""
    found = made(items, schedules, history, now, explain=True, **options).waiting
    return {(waiting.item, waiting.schedule): waiting.reason for waiting in found}


def names(issue_or_items):
    return [one.id for one in getattr(issue_or_items, "items", issue_or_items)]


# --------------------------------------------------------------------------- newsletters


def test_the_issue_holds_the_approved_items_on_its_slot():
    """Number and slot make it; a draft stays behind."""
    items = [item("ports"), item("draft", status=Status.DRAFT), item("stop", status=Status.HELD)]

    found = made(items, [WEEKLY], running(next_number={"weekly": 7}), FRIDAY + 5 * MINUTE)

    (issue,) = found.issues
    assert (issue.newsletter, issue.number, issue.slot, names(issue)) == ("weekly", 7, FRIDAY, ["ports"])
    assert issue.id == "weekly@2026-11-27T09:00+07:00"
    assert found.waiting == found.notices == found.skipped == ()


def test_before_its_slot_nothing_is_due():
    """One second early is early."""
    assert made([item("ports")], [WEEKLY], running(), FRIDAY - timedelta(seconds=1)) == Plan()


def test_planning_again_after_recording_finds_nothing():
    """Neither at the same moment nor later on the same day."""
    first = made([item("ports")], [WEEKLY, MASTODON], running(), NOON)
    known = played(running(), first, NOON)

    assert names(first.issues[0]) == ["ports"]
    for later in (NOON, NOON + MINUTE, NOON + 6 * HOUR):
        assert made([item("ports")], [WEEKLY, MASTODON], known, later) == Plan()


def test_items_go_by_priority_then_date_then_name():
    """High priority first, newest first, and a fixed order for equals."""
    items = [
        item("b-old", published=date(2026, 11, 1)),
        item("b-new"),
        item("a-new"),
        item("top", published=date(2020, 1, 1), priority=5),
        item("last", priority=-1),
    ]

    for given in (items, items[::-1]):
        (issue,) = made(given, [WEEKLY], running(), FRIDAY).issues
        assert names(issue) == ["top", "a-new", "b-new", "b-old", "last"]


def test_a_date_still_to_come_does_not_go_first():
    """It is most likely a slip: such an item stands among those of today."""
    items = [
        item("slip", published=date(2027, 11, 20)),
        item("new", published=FRIDAY.date()),
        item("old"),
    ]

    (issue,) = made(items, [WEEKLY], running(), FRIDAY).issues

    assert names(issue) == ["new", "slip", "old"]


def test_printed_items_are_not_printed_again():
    """In this newsletter; another one may still have them."""
    other = replace(WEEKLY, name="digest")
    history = running(
        printed={"weekly": frozenset({"ports"})}, added_at={"digest": LONG_AGO, "weekly": LONG_AGO}
    )
    items = [item("ports"), item("farms")]

    found = made(items, [WEEKLY, other], replace(history, last_slot={"digest": FRIDAY - DAY}), FRIDAY)

    assert {issue.newsletter: names(issue) for issue in found.issues}["digest"] == ["farms", "ports"]
    assert {issue.newsletter: names(issue) for issue in found.issues}["weekly"] == ["farms"]


def test_a_full_issue_leaves_the_rest_for_the_next():
    """And says so."""
    items = [item(f"story-{n}") for n in range(5)]

    found = made(items, [replace(WEEKLY, max_items=2)], running(), FRIDAY, explain=True)

    assert names(found.issues[0]) == ["story-0", "story-1"]
    assert [(w.item, w.reason, w.until) for w in found.waiting] == [
        ("story-2", "this issue is full (2 items)", FRIDAY + 7 * DAY),
        ("story-3", "this issue is full (2 items)", FRIDAY + 7 * DAY),
        ("story-4", "the next issue is full (2 items)", None),
    ]


def test_too_few_items_hold_the_issue_with_a_notice():
    """It is neither sent nor given up: a third approval within six hours lets it go."""
    weekly, items = replace(WEEKLY, min_items=3), [item("ports"), item("farms")]

    held = made(items, [weekly], running(), FRIDAY)
    late = made([*items, item("ships")], [weekly], played(running(), held, FRIDAY), FRIDAY + 5 * HOUR)

    assert held == Plan(
        notices=("weekly: 2 of 3 items approved; the issue of Fri 27 Nov 09:00 waits until 15:00",)
    )
    assert len(late.issues[0].items) == 3


def test_an_issue_with_too_few_items_for_too_long_is_skipped():
    """Once, with a notice; the items stay for the next issue."""
    weekly, items, late = replace(WEEKLY, min_items=3), [item("ports")], FRIDAY + 6 * HOUR + MINUTE

    found = made(items, [weekly], running(), late)
    again = made(items, [weekly], played(running(), found, late), late + MINUTE)

    (firing,) = found.skipped
    assert (firing.schedule, firing.slot, firing.outcome) == ("weekly", FRIDAY, "skipped")
    assert found.missed == (
        "weekly: the issue of Fri 27 Nov 09:00 was skipped: 1 of 3 items approved; more than 6 h late; "
        "the next is Fri 4 Dec 09:00",
    )
    assert again == Plan()


@pytest.mark.parametrize("least", [1, 0, -3])
def test_an_issue_is_never_empty(least):
    """Whatever min_items says."""
    found = made([], [replace(WEEKLY, min_items=least, max_items=0)], running(), FRIDAY)

    assert not found.issues
    assert found.notices[0].startswith("weekly: 0 of 1 item approved")


def test_a_newsletter_takes_its_languages_only():
    """ "en" takes "en-GB" too."""
    items = [item("british", lang="en-GB"), item("thai", lang="th")]
    weekly, thai = replace(WEEKLY, langs=("en",)), replace(WEEKLY, name="thai-weekly", langs=("th",))

    found = made(
        items, [weekly, thai], History(added_at={"thai-weekly": LONG_AGO, "weekly": LONG_AGO}), FRIDAY
    )

    assert [names(issue) for issue in found.issues] == [["british"], ["thai"]]


def test_an_item_goes_to_the_channels_it_names():
    """Without names it goes to all."""
    items = [item("all"), item("toot", channels=("mastodon",)), item("mail", channels=("weekly",))]

    found = made(items, [WEEKLY, replace(MASTODON, backfill=True)], running(), NOON)

    assert names(found.issues[0]) == ["all", "mail"]
    assert found.posts[0].id == "all"


# --------------------------------------------------------------------------- time and items


@pytest.mark.parametrize(
    ("fields", "goes"),
    [
        ({"not_before": date(2026, 11, 27)}, True),
        ({"not_before": date(2026, 11, 28)}, False),
        ({"not_before": FRIDAY}, True),
        ({"not_before": FRIDAY + MINUTE}, False),
        ({"not_before": datetime(2026, 11, 27, 2, tzinfo=UTC)}, True),
        ({"expires": date(2026, 11, 27)}, True),
        ({"expires": date(2026, 11, 26)}, False),
        ({"expires": FRIDAY + MINUTE}, True),
        ({"expires": FRIDAY}, False),
        ({"expires": date(9999, 12, 31)}, True),
        ({"not_before": date(9999, 12, 31)}, False),
        ({"not_before": date(1, 1, 1)}, True),
        ({"expires": date(1, 1, 1)}, False),
    ],
)
def test_an_item_keeps_its_dates(fields, goes):
    """A date begins at midnight in the zone and ends with its last minute; year 9999 is no trap."""
    found = made([item("ports", **fields)], [WEEKLY], running(), FRIDAY, explain=True)

    assert bool(found.issues) is goes
    assert bool(found.waiting) is not goes


def test_a_blocked_item_waits():
    """Checks decide what is blocked; the planner keeps to it."""
    found = made([item("ports"), item("farms")], [WEEKLY], running(), FRIDAY, blocked=frozenset({"ports"}))

    assert names(found.issues[0]) == ["farms"]


# --------------------------------------------------------------------------- posts


def test_a_slot_takes_one_post():
    """The most important item; the others wait for their turn."""
    items = [item("farms"), item("ports", priority=1), item("ships")]

    found = made(
        items, [MASTODON], running(approved_at=dict.fromkeys(["farms", "ports", "ships"], FRIDAY)), NOON
    )

    assert [(post.channel, post.slot, post.id) for post in found.posts] == [("mastodon", NOON, "ports")]
    assert found.issues == ()


def test_posts_keep_their_distance():
    """A slot too close to the last post waits until the pause is over, not until the next slot."""
    busy = replace(MASTODON, slots=("daily 12:00,12:10",), spacing=30 * MINUTE)
    noon = NOON - 30 * MINUTE
    first = made([item("farms"), item("ports")], [busy], running(), noon)
    known = played(running(), first, noon)

    assert [post.id for post in first.posts] == ["farms"]
    assert made([item("farms"), item("ports")], [busy], known, noon + 29 * MINUTE) == Plan()
    second = made([item("farms"), item("ports")], [busy], known, noon + 30 * MINUTE)
    assert [(post.id, post.slot) for post in second.posts] == [("ports", noon + 10 * MINUTE)]


def test_a_new_channel_does_not_flood():
    """Items approved before it was added stay away, unless backfill asks for them."""
    first_look, items = History(), [item("ports")]
    known = History(added_at={"mastodon": FRIDAY}, approved_at={"ports": FRIDAY})

    for history in (first_look, known):
        assert made(items, [MASTODON], history, NOON).posts == ()
        assert made(items, [replace(MASTODON, backfill=True)], history, NOON).posts[0].id == "ports"
    assert made(items, [MASTODON], replace(known, approved_at={"ports": FRIDAY + MINUTE}), NOON).posts
    assert made(items, [MASTODON], replace(known, approved_at={}), NOON).posts, "approved just now"


def test_tags_choose_items():
    """One of the channel's tags is enough."""
    tagged = replace(MASTODON, tags=("labour", "law"))

    found = made(
        [item("farms", tags=("sea",)), item("ports", tags=("law", "sea"))], [tagged], running(), NOON
    )

    assert [post.id for post in found.posts] == ["ports"]


def test_a_slot_with_nothing_to_post_is_closed_quietly():
    """It is recorded, so that an item approved a minute later does not go out at an odd time."""
    found = made([], [MASTODON], running(), NOON)

    assert [(firing.outcome, firing.detail) for firing in found.skipped] == [("skipped", "nothing to post")]
    assert found.notices == ()
    assert made([item("ports")], [MASTODON], played(running(), found, NOON), NOON + MINUTE) == Plan()


# --------------------------------------------------------------------------- late, missed, on hold


def test_the_first_run_does_nothing_for_the_past():
    """A slot at the very moment of the first look counts; an earlier one does not."""
    items = [item("ports")]

    late = made(items, [WEEKLY], History(), FRIDAY + MINUTE)
    assert late.is_empty
    assert late.missed == (
        "weekly: the issue of Fri 27 Nov 09:00 is skipped: its time had passed before bot.toml was saved; "
        "the next is Fri 4 Dec 09:00",
    )
    assert names(made(items, [WEEKLY], History(), FRIDAY).issues[0]) == ["ports"]
    assert names(made(items, [WEEKLY], History(added_at={"weekly": FRIDAY}), FRIDAY).issues[0]) == ["ports"]


def test_a_slot_that_the_plan_showed_goes_out_at_the_first_run_within_its_lateness():
    """The settings were saved before it: from then on it was promised, although no run has been yet."""
    items, saved = [item("ports")], History(settings_written=FRIDAY - DAY)

    (_, promised), *_ = looked_ahead(items, [WEEKLY], saved, FRIDAY - HOUR, days=1).moments
    first_run = made(items, [WEEKLY], saved, FRIDAY + 3 * MINUTE)
    too_late = made(items, [WEEKLY], saved, FRIDAY + 7 * HOUR)

    assert names(promised.issues[0]) == names(first_run.issues[0]) == ["ports"]
    assert first_run.issues[0].slot == FRIDAY
    assert too_late.is_empty
    assert "more than 6 h late; the next is Fri 4 Dec 09:00" in too_late.missed[0]


def test_settings_saved_after_a_slot_send_nothing_for_it():
    """Whoever sets up at ten is not surprised by the issue of nine; plan and run say so alike."""
    saved = History(settings_written=FRIDAY + HOUR)

    first_run = made([item("ports")], [WEEKLY], saved, FRIDAY + HOUR + MINUTE)
    plan = looked_ahead([item("ports")], [WEEKLY], saved, FRIDAY + HOUR + MINUTE, days=1)

    assert first_run.is_empty
    assert "its time had passed before bot.toml was saved" in first_run.missed[0]
    assert [p.issues for _, p in plan.moments if p.issues] == []


def test_after_an_absence_one_slot_is_caught_up_and_the_others_are_told_once():
    """Three weeks away: this Friday's issue goes out, two are skipped in one sentence."""
    history = running(last_slot={"weekly": FRIDAY - 21 * DAY})

    found = made([item("ports")], [WEEKLY], history, FRIDAY + HOUR)

    assert [issue.slot for issue in found.issues] == [FRIDAY]
    assert [firing.slot for firing in found.skipped] == [FRIDAY - 14 * DAY, FRIDAY - 7 * DAY]
    assert found.missed == (
        "weekly: 2 slots were skipped, the latest of Fri 20 Nov 09:00: more than 6 h late; "
        "the next is Fri 4 Dec 09:00",
    )


def test_a_missed_slot_with_nothing_to_post_is_not_worth_a_notice():
    """A channel that had nothing to say missed nothing."""
    found = made([], [MASTODON], running(last_slot={"mastodon": FRIDAY - 7 * DAY}), FRIDAY)

    assert {firing.detail for firing in found.skipped} == {"nothing to post"}
    assert found.notices == ()


@pytest.mark.parametrize("scope", ["*", "weekly", "email"])
def test_a_hold_stops_the_issue_and_says_who(scope):
    """On everything, on the newsletter, or on the channel that carries it."""
    held = running(holds={scope: "Mali: wait for the lawyer"})

    now = made([item("ports")], [WEEKLY], held, FRIDAY)
    later = made([item("ports")], [WEEKLY], held, FRIDAY + 7 * HOUR)
    released = made([item("ports")], [WEEKLY], running(), FRIDAY + HOUR)

    what = "everything is on hold" if scope == "*" else "on hold"
    assert now.is_empty
    assert now.skipped == ()
    assert now.notices == (
        f"weekly: {what} (Mali: wait for the lawyer); the issue of Fri 27 Nov 09:00 waits until 15:00",
    )
    assert "Mali: wait for the lawyer" in later.skipped[0].detail
    assert "Mali: wait for the lawyer" in later.missed[0]
    assert released.issues


def test_a_hold_stops_a_post_and_other_channels_go_on():
    """A channel stands alone."""
    telegram = replace(MASTODON, channel="telegram", kind="telegram")

    found = made([item("ports")], [MASTODON, telegram], running(holds={"mastodon": "Jo: token leaked"}), NOON)

    assert [post.channel for post in found.posts] == ["telegram"]
    assert found.notices == (
        "mastodon: on hold (Jo: token leaked); the post of Fri 27 Nov 12:30 waits until 14:30",
    )


def test_a_held_item_stays_behind():
    """The others go."""
    found = made(
        [item("ports"), item("farms")], [WEEKLY], running(holds={"ports": "Jo: check the name"}), FRIDAY
    )

    assert names(found.issues[0]) == ["farms"]


# --------------------------------------------------------------------------- reasons


def test_every_waiting_item_has_a_reason_in_words():
    """Each item that does not go out says why, and until when where that is known."""
    english = replace(WEEKLY, langs=("en",))
    items = [
        item("draft", status=Status.DRAFT),
        item("held", status=Status.HELD),
        item("stopped"),
        item("blocked"),
        item("early", not_before=date(2026, 12, 1)),
        item("stale", expires=date(2026, 11, 20)),
        item("thai", lang="th"),
        item("elsewhere", channels=("bluesky",)),
        item("printed"),
        item("short", expires=date(2026, 11, 30)),
        item("fine"),
    ]
    history = running(
        holds={"stopped": "Jo: check the name"},
        printed={"weekly": frozenset({"printed"})},
        last_slot={"weekly": FRIDAY},
    )

    found = reasons(items, [english], history, FRIDAY + HOUR, blocked=frozenset({"blocked"}))

    assert found == {
        ("draft", ""): "a draft: an editor has to approve it",
        ("held", ""): "held in its own file (status: held)",
        ("stopped", ""): "on hold (Jo: check the name)",
        ("blocked", ""): "a check blocks it; 'bot check' says which and why",
        ("early", ""): "not before Tue 1 Dec 00:00",
        ("stale", ""): "expired Fri 20 Nov 23:59",
        ("thai", ""): "no newsletter or channel takes it: its language is 'th', weekly takes en",
        ("elsewhere", ""): "no newsletter or channel takes it: its channels are bluesky",
        ("short", "weekly"): "expires Mon 30 Nov 23:59, before the next slot (Fri 4 Dec 09:00)",
        ("fine", "weekly"): "waits for the next issue",
    }


def test_reasons_of_posts():
    """Its turn, the pause, the age of the channel."""
    approved = {"a": NOON, "b": NOON, "old": LONG_AGO}
    history = running(approved_at=approved, added_at={"mastodon": LONG_AGO}, last_slot={"mastodon": NOON})
    items = [item("a"), item("b"), item("old")]

    found = reasons(items, [MASTODON], history, NOON)

    assert found == {
        ("old", "mastodon"): "approved before the channel was added; set backfill = true to post it",
        ("a", "mastodon"): "waits for the next slot",
        ("b", "mastodon"): "waits for its turn; 1 item before it",
    }


def test_an_item_that_suits_one_schedule_is_not_said_to_wait_for_the_others():
    """A Thai item in the Thai newsletter is no news for the English one."""
    weekly, thai = replace(WEEKLY, langs=("en",)), replace(WEEKLY, name="thai-weekly", langs=("th",))

    found = reasons([item("ports", lang="th")], [weekly, thai], running(), FRIDAY - HOUR)

    assert found == {("ports", "thai-weekly"): "waits for the next issue"}


def test_reasons_are_given_on_request_only():
    """A tick with nothing due does not look at the items at all."""

    class Untouchable(tuple):
        __slots__ = ()

        def __iter__(self):
            raise AssertionError("looked at the items")

    assert made(Untouchable(), [WEEKLY, MASTODON], running(), FRIDAY - HOUR) == Plan()


def test_the_next_items_of_a_newsletter_are_known_at_any_time():
    """For a preview, between the slots and also when there are too few."""
    weekly = replace(WEEKLY, min_items=3, max_items=2)
    items = [item("ports"), item("farms"), item("ships"), item("draft", status=Status.DRAFT)]
    known = running(printed={"weekly": frozenset({"farms"})})

    assert names(next_items(items[:2], weekly, known, FRIDAY - DAY, zone=BANGKOK)) == ["ports"]
    assert names(next_items(items, weekly, History(), FRIDAY - DAY, zone=BANGKOK)) == ["farms", "ports"]


# --------------------------------------------------------------------------- forecast


def looked_ahead(items, schedules, history, now, **options):
    newsletters = [schedule for schedule in schedules if isinstance(schedule, Newsletter)]
    postings = [schedule for schedule in schedules if isinstance(schedule, Posting)]
    return forecast(items, newsletters, postings, history, now, zone=BANGKOK, **options)


def test_the_forecast_says_what_goes_out_when():
    """Two posts a week from Thursday noon on, the issue in between, and what does not go out."""
    thursday = NOON - DAY + MINUTE
    items = [item("farms"), item("ports"), item("ships"), item("draft", status=Status.DRAFT)]
    history = running(
        approved_at=dict.fromkeys(["farms", "ports", "ships"], FRIDAY - 2 * DAY),
        last_slot=dict.fromkeys(["weekly", "mastodon"], NOON - DAY),
    )

    found = looked_ahead(items, [WEEKLY, MASTODON], history, thursday, days=4)

    told = [(at, [names(i) for i in p.issues], [post.id for post in p.posts]) for at, p in found.moments]
    assert told == [
        (FRIDAY, [["farms", "ports", "ships"]], []),
        (NOON, [], ["farms"]),
        (NOON + 3 * DAY, [], ["ports"]),
    ]
    assert all(at.tzinfo is BANGKOK for at, _ in found.moments)
    assert {(w.item, w.schedule) for w in found.waiting} == {("draft", ""), ("ships", "mastodon")}


def test_the_forecast_starts_with_what_is_due_now():
    """And a fresh bot does not foresee the flood that it will not make."""
    found = looked_ahead([item("ports")], [WEEKLY, MASTODON], History(), FRIDAY, days=7)

    assert [(at, bool(p.issues), bool(p.posts)) for at, p in found.moments] == [
        (FRIDAY, True, False),
        (FRIDAY + 7 * DAY, False, False),
    ]
    assert [(w.item, w.schedule) for w in found.waiting] == [("ports", "mastodon")]


def test_the_forecast_sees_embargoes_and_pauses_end():
    """A post may go out between slots: when the pause or an embargo ends within the lateness of its slot."""
    busy = replace(MASTODON, slots=("daily 12:00,12:10",), spacing=30 * MINUTE, backfill=True)
    later = item("ships", not_before=NOON + DAY + 3 * MINUTE, channels=("weekly",))
    weekly = replace(WEEKLY, slots=("Sat 12:30",))

    found = looked_ahead(
        [item("farms"), item("ports"), later], [busy, weekly], running(), NOON - HOUR, days=2
    )

    told = [
        (at, [*(post.id for post in p.posts), *(name for i in p.issues for name in names(i))])
        for at, p in found.moments
    ]
    assert told[:2] == [(NOON - 30 * MINUTE, ["farms"]), (NOON, ["ports"])]
    assert told[2] == (NOON + DAY, ["farms", "ports"])
    assert [(w.item, w.schedule) for w in found.waiting] == [("ships", "")]


def test_the_forecast_foresees_an_issue_that_waits_for_an_embargo():
    """The only item may go three minutes after the slot: so does the issue."""
    early = item("ships", not_before=FRIDAY + 3 * MINUTE)

    found = looked_ahead([early], [WEEKLY], running(), FRIDAY - HOUR, days=1)

    assert [(at, len(p.issues), len(p.notices)) for at, p in found.moments] == [
        (FRIDAY, 0, 1),
        (FRIDAY + 3 * MINUTE, 1, 0),
    ]


def test_a_notice_is_foreseen_once():
    """The issue that waits for a third item is told at its slot, not at every moment after it."""
    weekly = replace(WEEKLY, min_items=3)
    ticking = replace(MASTODON, slots=("daily 09:00,10:00,11:00",), backfill=True)

    found = looked_ahead([item("ports")], [weekly, ticking], running(), FRIDAY - HOUR, days=1)

    assert [notice for _, p in found.moments for notice in p.notices] == [
        "weekly: 1 of 3 items approved; the issue of Fri 27 Nov 09:00 will wait until 15:00"
    ]


# --------------------------------------------------------------------------- whatever happens

START = datetime(2026, 10, 23, 12, tzinfo=UTC)  # London's clocks go back on the 25th
NEWSLETTERS = (
    replace(WEEKLY, slots=("Fri 09:00",), min_items=2, max_items=3),
    replace(WEEKLY, name="night", slots=("daily 01:30",), langs=("en",), max_items=2),
)
POSTINGS = (
    replace(MASTODON, slots=("daily 01:15,12:30",), backfill=True),
    Posting(channel="telegram", kind="telegram", slots=("*/20 0-2 * * *",), spacing=HOUR, tags=("law",)),
)
SCHEDULES = (*NEWSLETTERS, *POSTINGS)


def rank(one):
    return (-one.priority, -one.published.toordinal(), one.id)


def suits(one, schedule):
    """Whether the item belongs there, said independently of the planner."""
    name = schedule.name if isinstance(schedule, Newsletter) else schedule.channel
    spoken = not schedule.langs or one.lang in schedule.langs
    tagged = isinstance(schedule, Newsletter) or not schedule.tags or "law" in one.tags
    return (not one.channels or name in one.channels) and spoken and tagged


class ManyWeeks(RuleBasedStateMachine):
    """Organisers add and approve, the bot ticks, sleeps for days and crashes between plan and record."""

    @initialize()
    def begin(self):
        self.now, self.history, self.items = START, History(), {}
        self.issues, self.posts, self.fired = [], [], []

    @precondition(lambda self: len(self.items) < 12)
    @rule(
        priority=st.integers(-1, 1),
        day=st.integers(1, 3),
        lang=st.sampled_from(["en", "th"]),
        tags=st.sampled_from([(), ("law",)]),
        channels=st.sampled_from([(), (), ("weekly", "mastodon"), ("telegram",), ("night",)]),
        status=st.sampled_from([Status.DRAFT, Status.APPROVED]),
    )
    def add(self, day, **fields):
        name = f"story-{len(self.items)}"
        self.items[name] = item(name, published=date(2026, 10, day), **fields)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def approve(self, data):
        name = data.draw(st.sampled_from(sorted(self.items)))
        self.items[name] = replace(self.items[name], status=Status.APPROVED)

    @rule(scope=st.sampled_from(["*", "weekly", "mastodon", "email", "story-0"]), on=st.booleans())
    def hold(self, scope, on):
        holds = {key: why for key, why in self.history.holds.items() if key != scope}
        self.history = replace(self.history, holds={**holds, scope: "Mali"} if on else holds)

    @rule(minutes=st.sampled_from([0, 0, 1, 7, 20, 60, 180, 600, 1440, 4 * 1440, 20 * 1440]))
    def wait(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule()
    def wait_for_a_slot(self):
        slots = parse_slots([text for schedule in SCHEDULES for text in schedule.slots])
        self.now = utc(next(slots_between(slots, LONDON, self.now, self.now + 9 * DAY)))

    @rule()
    def crash_before_recording(self):
        """A plan that is thrown away, and a dry run, leave no trace; the same moment gives the same plan."""
        assert self.planned() == self.planned()

    @rule(keep=st.integers(0, 3))
    def crash_while_recording(self, keep):
        """Only the first few things are on disk."""
        self.note()
        whole = self.planned()
        issues = whole.issues[: max(keep - len(whole.skipped), 0)]
        posts = whole.posts[: max(keep - len(whole.skipped) - len(whole.issues), 0)]
        self.record(replace(whole, skipped=whole.skipped[:keep], issues=issues, posts=posts))

    @rule()
    def tick(self):
        self.note()
        self.record(self.planned())
        assert self.planned().is_empty, "a second look at the same moment finds nothing new"

    def note(self):
        """What the bot writes down before it plans."""
        approved = {name: self.now for name, one in self.items.items() if one.status is Status.APPROVED}
        added = dict.fromkeys([*(n.name for n in NEWSLETTERS), *(p.channel for p in POSTINGS)], self.now)
        self.history = replace(
            self.history,
            added_at={**added, **self.history.added_at},
            approved_at={**approved, **self.history.approved_at},
        )

    def planned(self):
        return plan(list(self.items.values()), NEWSLETTERS, POSTINGS, self.history, self.now, zone=LONDON)

    def record(self, done):
        for issue in done.issues:
            self.check_issue(issue)
        for post in done.posts:
            self.check_post(post)
        self.issues += done.issues
        self.posts += [(post, self.now) for post in done.posts]
        self.fired += [(firing.schedule, utc(firing.slot)) for firing in done.skipped]
        self.fired += [(issue.newsletter, utc(issue.slot)) for issue in done.issues]
        self.fired += [(post.channel, utc(post.slot)) for post in done.posts]
        self.history = played(self.history, done, self.now)
        self.check_everything()

    def check_issue(self, issue):
        """Not empty, not too big, in order, in time, and nobody more important was passed over."""
        newsletter = next(n for n in NEWSLETTERS if n.name == issue.newsletter)
        could = [one for one in self.free() if suits(one, newsletter)]
        could = [one for one in could if one.id not in self.history.printed.get(issue.newsletter, ())]
        assert newsletter.min_items <= len(issue.items) <= newsletter.max_items
        assert list(issue.items) == sorted(could, key=rank)[: newsletter.max_items]
        assert timedelta(0) <= self.now - utc(issue.slot) <= newsletter.max_lateness
        assert not {"*", "email", issue.newsletter} & set(self.history.holds)

    def check_post(self, post):
        """Approved, suitable, after the pause, in time."""
        posting = next(p for p in POSTINGS if p.channel == post.channel)
        last = [at for old, at in self.posts if old.channel == post.channel]
        assert post.item in self.free()
        assert suits(post.item, posting)
        assert timedelta(0) <= self.now - utc(post.slot) <= posting.max_lateness
        assert not last or self.now - last[-1] >= posting.spacing
        assert not {"*", post.channel} & set(self.history.holds)

    def free(self):
        held = self.history.holds
        return [i for i in self.items.values() if i.status is Status.APPROVED and i.id not in held]

    def check_everything(self):
        """Nothing twice: no story in a newsletter or on a channel, no slot, no number."""
        printed = [(issue.newsletter, one.id) for issue in self.issues for one in issue.items]
        posted = [(post.channel, post.id) for post, _ in self.posts]
        assert len(printed) == len(set(printed))
        assert len(posted) == len(set(posted))
        assert len(self.fired) == len(set(self.fired))
        for newsletter in NEWSLETTERS:
            numbers = [issue.number for issue in self.issues if issue.newsletter == newsletter.name]
            assert numbers == list(range(1, len(numbers) + 1))
            slots = [utc(issue.slot) for issue in self.issues if issue.newsletter == newsletter.name]
            assert all(earlier < later for earlier, later in pairwise(slots))

    def teardown(self):
        """Nobody is forgotten: once the bot runs on without holds, every approved story goes everywhere."""
        if not hasattr(self, "now"):
            return
        self.history = replace(self.history, holds={})
        self.tick()
        slots = parse_slots([text for schedule in SCHEDULES for text in schedule.slots])
        for moment in list(slots_between(slots, LONDON, self.now, self.now + 15 * DAY)):
            self.now = utc(moment)
            self.record(self.planned())
        for newsletter in NEWSLETTERS:
            left = self.left(newsletter, self.history.printed.get(newsletter.name, frozenset()))
            assert len(left) < newsletter.min_items
        for posting in POSTINGS:
            left = self.left(posting, self.history.posted.get(posting.channel, frozenset()))
            added = self.history.added_at[posting.channel]
            assert posting.backfill or all(self.history.approved_at[one.id] <= added for one in left)
            assert not (posting.backfill and left)

    def left(self, schedule, done):
        return [one for one in self.free() if suits(one, schedule) and one.id not in done]


class ManyMoreWeeks(ManyWeeks):
    """The same, for longer."""


ManyWeeks.TestCase.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)
ManyMoreWeeks.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestManyWeeks = ManyWeeks.TestCase
TestManyMoreWeeks = pytest.mark.slow(ManyMoreWeeks.TestCase)
