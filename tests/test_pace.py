"""The pace as pure rules: no window ever holds more than allowed, whatever the clock and the askers do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.errors import Blame, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.pace import (
    AHEAD,
    FRONT,
    KEPT,
    Account,
    Allowance,
    Grant,
    Guard,
    Noted,
    Outcome,
    PaceRules,
    Quota,
    Ramp,
    judged,
    next_midnight,
    outcome_of,
    reserve,
    resumed,
)

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
FRESH = Account()


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def one(account: Account, rules: PaceRules, want: int, now: datetime) -> tuple[Account, Grant]:
    """A reservation for any domain."""
    done = reserve(account, {}, rules, {"": want}, now)
    return done.account, done.grant


def fullest(times: list[float], window: float) -> int:
    """The most moments that any half-open window of that length holds."""
    times = sorted(times)
    most = first = 0
    for index, time in enumerate(times):
        while times[first] <= time - window + 1e-9:
            first += 1
        most = max(most, index - first + 1)
    return most


# --------------------------------------------------------------------------- slots


def test_slots_are_evenly_spaced_and_go_on_where_they_ended() -> None:
    """Who asks second gets the slots behind the first one's."""
    rules = PaceRules(per_second=10)

    account, first = one(FRESH, rules, 3, NOW)
    _, second = one(account, rules, 2, NOW)

    assert [offset for offset, _ in first.slots] == pytest.approx([0, 0.1, 0.2])
    assert [offset for offset, _ in second.slots] == pytest.approx([0.3, 0.4], abs=1e-5)
    assert (first.at, second.wait.total_seconds()) == (NOW, pytest.approx(0.3, abs=1e-5))


def test_nobody_gets_more_than_half_a_second_and_nothing_beyond_a_second() -> None:
    """A crash wastes little, and a pause acts soon."""
    account, first = one(FRESH, PaceRules(per_second=14), 1000, NOW)
    account, second = one(account, PaceRules(per_second=14), 1000, NOW)
    account, third = one(account, PaceRules(per_second=14), 1000, NOW)
    _, fourth = one(account, PaceRules(per_second=14), 1000, NOW)

    assert [grant.count for grant in (first, second, third, fourth)] == [7, 7, 1, 0]
    assert fourth.reason == "per_second is given out"
    assert 0 < fourth.wait.total_seconds() < 1


def test_a_slow_account_gives_one_at_a_time() -> None:
    """One each five seconds: the next asker is told when to come back, and then gets it."""
    rules = PaceRules(per_second=0.2)
    account, first = one(FRESH, rules, 9, NOW)

    same, none = one(account, rules, 9, NOW)
    _, second = one(same, rules, 9, none.at)

    assert (first.count, none.count, second.count) == (1, 0, 1)
    assert (second.at - first.at).total_seconds() == pytest.approx(5)


def test_a_burst_is_given_after_a_rest_only() -> None:
    """Five at once, then one by one."""
    rules = PaceRules(per_second=2, burst=5)

    account, first = one(FRESH, rules, 9, NOW)
    _, second = one(account, rules, 9, NOW + seconds(1))

    assert [offset for offset, _ in first.slots] == [0] * 5
    assert [offset for offset, _ in second.slots] == pytest.approx([0, 0, 0.5, 1.0])


@pytest.mark.parametrize(
    ("rules", "window"),
    [(PaceRules(per_hour=100), seconds(3600)), (PaceRules(per_day=100), timedelta(days=1))],
    ids=["hour", "day"],
)
def test_an_hour_and_a_day_slide(rules: PaceRules, window: timedelta) -> None:
    """They do not begin anew at the full hour or at midnight."""
    account, first = one(FRESH, rules, 60, NOW)
    account, second = one(account, rules, 60, NOW + window / 2)
    account, none = one(account, rules, 1, NOW + window * 0.99)
    account, third = one(account, rules, 100, none.at)

    assert [grant.count for grant in (first, second, none, third)] == [60, 40, 0, 60]
    assert none.reason.endswith("= 100 is used up")
    assert window <= third.at - first.at <= window * 1.02


def test_all_limits_hold_at_once() -> None:
    """The smallest one decides."""
    rules = PaceRules(per_second=100, per_hour=20, per_day=30, ramp=Ramp(first_day=7))

    account, first = one(FRESH, rules, 50, NOW)
    _, second = one(account, rules, 50, NOW + seconds(1))

    assert (first.count, second.count, second.reason) == (7, 0, "the warm-up allows 7 today")


def test_a_clock_that_was_wrong_stops_nobody_for_ever() -> None:
    """An hour, or a hundred years, ahead and then set right: the pace goes on within seconds."""
    rules = PaceRules(per_second=10, per_hour=50, per_day=60, ramp=Ramp(first_day=40))

    account, _ = one(FRESH, rules, 5, NOW + timedelta(days=36_500))
    account, grant = one(account, rules, 5, NOW)

    assert grant.count == 0 or grant.at <= NOW + seconds(2)
    _, grant = one(account, rules, 5, NOW + seconds(2))
    assert grant.count == 5


limits = st.builds(
    PaceRules,
    per_second=st.none() | st.floats(0.05, 300),
    per_hour=st.none() | st.integers(1, 300),
    per_day=st.none() | st.integers(1, 2000),
    burst=st.integers(1, 9),
    ramp=st.none() | st.builds(Ramp, first_day=st.integers(1, 60), until=st.integers(100, 500)),
)
asks = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.07, 0.5, 3.0, 55.0, 700.0, 3600.0, 40_000.0]), st.integers(1, 80)
    ),
    max_size=60,
)


@given(rules=limits, asks=asks)
def test_no_window_ever_holds_more_than_allowed(rules: PaceRules, asks: list[tuple[float, int]]) -> None:
    """Not a second, an hour, a day, nor a day of the warm-up, single ones among them; no slot is past."""
    account, now, times, days = FRESH, NOW, list[float](), Counter[date]()
    for pause, want in asks:
        now += seconds(pause)
        done = reserve(account, {}, rules, {"": want}, now, ahead=FRONT if want < 3 else AHEAD)
        account, grant = done.account, done.grant
        times += [(grant.now - NOW).total_seconds() + offset for offset, _ in grant.slots]
        days[grant.now.date()] += grant.count
        assert grant.count <= want
        assert all(offset >= 0 for offset, _ in grant.slots)
        assert grant.count > 0 or grant.wait > seconds(0)

    if rules.per_second:
        for window in (1, 10, 100):
            assert fullest(times, window) <= -(-rules.per_second * window // 1) + rules.burst - 1
    assert rules.per_hour is None or fullest(times, 3600) <= rules.per_hour
    assert rules.per_day is None or fullest(times, 86_400) <= rules.per_day
    if rules.ramp:
        caps = {day: rules.ramp.cap(account.first_day or day, day) for day in days}
        assert all(cap is None or days[day] <= cap for day, cap in caps.items())


@given(rules=limits, want=st.integers(1, 500))
def test_who_asks_when_told_gets_something(rules: PaceRules, want: int) -> None:
    """Nobody is sent away twice in a row: the answer says when it is worth asking again."""
    account, now, sent_away = FRESH, NOW, 0
    for _ in range(60):
        account, grant = one(account, rules, want, now)
        sent_away = 0 if grant.count else sent_away + 1
        assert sent_away <= 2, grant
        now = grant.at + seconds(0.000_002)


def test_an_idle_account_saves_nothing_up() -> None:
    """After an hour of silence there is no burst to make up for it."""
    rules = PaceRules(per_second=10)
    account, _ = one(FRESH, rules, 1, NOW)

    _, grant = one(account, rules, 3, NOW + seconds(3600))

    assert [offset for offset, _ in grant.slots] == pytest.approx([0, 0.1, 0.2])


def test_one_message_goes_before_an_issue() -> None:
    """However many ask for all there is: who looks further ahead finds a slot each time, at the same pace."""
    rules = PaceRules(per_second=2)
    account, times, waits = FRESH, list[float](), list[float]()
    for step in range(200):
        now = NOW + seconds(step * 0.05)
        account, grant = one(account, rules, 9, now)
        times += [step * 0.05 + offset for offset, _ in grant.slots]
        if step % 40 == 20:
            single = reserve(account, {}, rules, {"": 1}, now, ahead=FRONT)
            account, (slot, _) = single.account, single.grant.slots[0]
            waits.append(slot)
            times.append(step * 0.05 + slot)

    assert max(waits) <= 1.5 + 1e-5
    assert fullest(times, 1) <= 2
    assert len(times) == pytest.approx(20, abs=3)


@pytest.mark.parametrize(
    "rules", [PaceRules(per_hour=100), PaceRules(per_day=100), PaceRules(ramp=Ramp(first_day=100))]
)
def test_an_issue_leaves_some_of_the_hour_to_single_messages(rules: PaceRules) -> None:
    """Two of a hundred; they do not wait until the issue is out, and no limit is passed."""
    issue = reserve(FRESH, {}, rules, {"": 500}, NOW, kept=KEPT)
    again = reserve(issue.account, {}, rules, {"": 500}, NOW, kept=KEPT)
    account, single = one(again.account, rules, 1, NOW)
    account, rest = one(account, rules, 9, NOW)
    _, none = one(account, rules, 1, NOW)

    assert [g.count for g in (issue.grant, again.grant, single, rest, none)] == [98, 0, 1, 1, 0]
    assert again.grant.wait > seconds(600)


def test_an_issue_is_told_when_there_is_room_for_it_again() -> None:
    """Not when there is only what is kept for others."""
    rules = PaceRules(per_hour=100)
    account, _ = one(FRESH, rules, 2, NOW)
    account, _ = one(account, rules, 98, NOW + seconds(600))

    told = reserve(account, {}, rules, {"": 500}, NOW + seconds(700), kept=KEPT).grant
    then = reserve(account, {}, rules, {"": 500}, told.at + seconds(0.001), kept=KEPT).grant

    assert (told.count, then.count) == (0, 98)


# --------------------------------------------------------------------------- domains


def many(
    rules: PaceRules, wants: Mapping[str, int], rounds: int, *, every: float = 0.05
) -> dict[str, list[float]]:
    """When letters to each domain went, asking again and again."""
    account, rows = FRESH, {domain: FRESH for domain in wants if rules.quota_for(domain)}
    times: dict[str, list[float]] = {domain: [] for domain in wants}
    for step in range(rounds):
        done = reserve(account, rows, rules, wants, NOW + seconds(step * every))
        account, rows = done.account, dict(done.domains)
        for offset, domain in done.grant.slots:
            times[domain].append(step * every + offset)
    return times


def test_a_domain_has_its_own_limit_and_holds_up_no_other() -> None:
    """Two a second to one domain, and the account's whole rest to the others."""
    rules = PaceRules(per_second=20, domains={"gmail.com": Quota(per_second=2)})

    times = many(rules, {"gmail.com": 50, "": 50}, rounds=200)

    assert fullest(times["gmail.com"], 1) <= 2
    assert fullest(times["gmail.com"] + times[""], 1) <= 21  # one may use its account's slot a little late
    assert len(times["gmail.com"]) == pytest.approx(20, abs=3)
    assert len(times["gmail.com"]) + len(times[""]) == pytest.approx(200, rel=0.15)


def test_one_slow_domain_alone_reaches_its_own_rate() -> None:
    """The account's slots are not wasted while the domain's are awaited."""
    rules = PaceRules(per_second=100, domains={"*": Quota(per_second=5)})

    times = many(rules, {"web.de": 50}, rounds=200)

    assert fullest(times["web.de"], 1) <= 5
    assert len(times["web.de"]) == pytest.approx(50, abs=5)


@pytest.mark.parametrize("account", [None, 2, 14, 100])
@pytest.mark.parametrize("domain", [0.5, 1, 3, 20])
def test_a_domain_keeps_its_rate_whatever_the_account_may(account: float | None, domain: float) -> None:
    """Without a limit per second of the account, too: nothing is given out further ahead than is believed."""
    rules = PaceRules(per_second=account, domains={"*": Quota(per_second=domain)})

    times = many(rules, {"web.de": 50}, rounds=600)["web.de"]

    rate = min(domain, account or domain)
    assert max(times) < 600 * 0.05 + 1
    assert fullest(times, 1) <= -(-domain // 1)
    assert len(times) == pytest.approx(30 * rate, abs=rate + 3)


def test_a_domain_that_got_nothing_is_told_when_to_ask_again() -> None:
    """Its letters can be put aside until then."""
    rules = PaceRules(per_second=100, domains={"web.de": Quota(per_hour=1)})
    rows = {"web.de": FRESH}
    first = reserve(FRESH, rows, rules, {"web.de": 5, "": 5}, NOW)

    second = reserve(first.account, first.domains, rules, {"web.de": 5, "": 5}, NOW + seconds(1))

    assert Counter(domain for _, domain in first.grant.slots) == {"": 5, "web.de": 1}
    assert Counter(domain for _, domain in second.grant.slots) == {"": 5}
    assert list(second.grant.later) == ["web.de"]
    assert 3500 < second.grant.later["web.de"] < 3700


@settings(deadline=None)
@given(
    per_second=st.floats(0.5, 50),
    wants=st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 300), min_size=2),
)
@example(per_second=10, wants={"a": 1, "b": 5})
def test_a_scarce_account_starves_no_domain(per_second: float, wants: dict[str, int]) -> None:
    """However unequal the wishes, each domain has its share in the long run, and no window too many."""
    given_out, times = scarce(per_second, wants, slots=1000)

    total = sum(wants.values())
    for domain, want in wants.items():
        share = want / total
        chance = 5 * (len(times) * share * (1 - share)) ** 0.5  # each slot is a draw
        assert given_out[domain] == pytest.approx(len(times) * share, abs=chance + 10)
    assert fullest(times, 1) <= -(-per_second // 1)


@pytest.mark.parametrize("per_second", [1, 10, 30])
def test_who_wants_little_gets_all_of_its_little_share(per_second: int) -> None:
    """Also of the few slots that are given out at a time: not a fifth less, turn after turn."""
    given_out, times = scarce(per_second, {"a": 1, "b": 5}, slots=6_000)

    assert given_out["a"] == pytest.approx(len(times) / 6, rel=0.1)


def scarce(per_second: float, wants: dict[str, int], *, slots: int) -> tuple[Counter[str], list[float]]:
    """How many of that many slots each domain had that always wants so many, and when they were."""
    rules = PaceRules(per_second=per_second)
    account, given_out, times = FRESH, Counter[str](), list[float]()
    now = NOW
    while len(times) < slots:
        done = reserve(account, {}, rules, wants, now)
        account, now = done.account, done.grant.at + seconds(1 / per_second)
        given_out.update(domain for _, domain in done.grant.slots)
        times += [(done.grant.now - NOW).total_seconds() + offset for offset, _ in done.grant.slots]
    return given_out, times


@given(
    domains=st.dictionaries(st.sampled_from(["a.org", "b.org"]), limits, max_size=2),
    rules=limits,
    asks=asks,
)
def test_no_domain_ever_gets_more_than_its_own_limits(
    domains: dict[str, Quota], rules: PaceRules, asks: list[tuple[float, int]]
) -> None:
    """And the account's hold over all of them together."""
    both = PaceRules(per_second=rules.per_second, per_hour=rules.per_hour, burst=rules.burst, domains=domains)
    account, rows, now = FRESH, dict.fromkeys(domains, FRESH), NOW
    times: dict[str, list[float]] = {"a.org": [], "b.org": [], "": []}
    for pause, want in asks:
        now += seconds(pause)
        wants = dict.fromkeys((*domains, ""), want)
        done = reserve(account, rows, both, wants, now)
        account, rows = done.account, {**rows, **done.domains}
        for offset, domain in done.grant.slots:
            times[domain].append((now - NOW).total_seconds() + offset)

    for domain, quota in domains.items():
        assert quota.per_hour is None or fullest(times[domain], 3600) <= quota.per_hour
        assert quota.per_day is None or fullest(times[domain], 86_400) <= quota.per_day
    together = [time for each in times.values() for time in each]
    assert rules.per_hour is None or fullest(together, 3600) <= rules.per_hour
    if rules.per_second:
        allowed = rules.per_second * (1 + both.grace)  # a domain's slot may be up to that much later
        assert fullest(together, 1) <= -(-allowed // 1) + rules.burst


# --------------------------------------------------------------------------- the warm-up


def test_the_warm_up_grows_day_by_day_and_ends() -> None:
    """Half as many again each day; from the day that would allow "until" there is no cap."""
    ramp = Ramp(first_day=200, factor=1.5, until=50_000)
    first = date(2026, 11, 27)

    caps = [ramp.cap(first, first + timedelta(days=day)) for day in (0, 1, 2, 13, 14, 4000)]

    assert caps == [200, 300, 450, 38_923, None, None]
    assert ramp.cap(first, date(2020, 1, 1)) == 200


@pytest.mark.parametrize(
    ("zone", "before", "after"),
    [
        (
            "Asia/Bangkok",
            datetime(2026, 11, 27, 16, 59, tzinfo=UTC),
            datetime(2026, 11, 27, 17, 0, tzinfo=UTC),
        ),
        # 24 hours are not a day here: 25 hours, and 23.
        (
            "Europe/London",
            datetime(2026, 10, 25, 23, 59, tzinfo=UTC),
            datetime(2026, 10, 26, 0, 0, tzinfo=UTC),
        ),
        (
            "Europe/London",
            datetime(2026, 3, 29, 22, 59, tzinfo=UTC),
            datetime(2026, 3, 29, 23, 0, tzinfo=UTC),
        ),
        # Midnight itself does not exist: the day begins at one o'clock.
        ("America/Santiago", datetime(2026, 9, 6, 3, 59, tzinfo=UTC), datetime(2026, 9, 6, 4, 0, tzinfo=UTC)),
    ],
)
def test_a_day_of_the_warm_up_ends_at_midnight_of_the_publication(
    zone: str, before: datetime, after: datetime
) -> None:
    """Wherever the server stands, and also on the days on which clocks change."""
    place, rules = ZoneInfo(zone), PaceRules(ramp=Ramp(first_day=10, factor=2))

    first = reserve(FRESH, {}, rules, {"": 50}, before, place)
    none = reserve(first.account, {}, rules, {"": 50}, before, place)
    second = reserve(first.account, {}, rules, {"": 50}, after, place)

    assert (first.grant.count, none.grant.count, second.grant.count) == (10, 0, 20)
    assert none.grant.at == next_midnight(before, place) == after


# --------------------------------------------------------------------------- what answers say


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("250 ok", Outcome.ACCEPTED),
        (None, Outcome.ACCEPTED),
        (TemporaryFailure("later", code=421), Outcome.THROTTLED),
        (TemporaryFailure("later", code=452), Outcome.THROTTLED),
        (TemporaryFailure("quota", code=454), Outcome.THROTTLED),
        (TemporaryFailure("too many", code=429), Outcome.THROTTLED),
        (TemporaryFailure("wait", retry_after=seconds(9)), Outcome.THROTTLED),
        (TemporaryFailure("greylisted", code=450), None),
        (TemporaryFailure("refused the recipient: 452 4.3.1 full disk", code=452), Outcome.THROTTLED),
        (TemporaryFailure("refused the recipient: 452 4.2.2 over quota", code=452), None),
        (PermanentFailure("unknown", code=550, blame=Blame.RECIPIENT), Outcome.REFUSED),
        (PermanentFailure("spam", code=554), None),
        (UnknownOutcome("lost"), None),
    ],
)
def test_an_answer_tells_something_about_the_account(answer: object, outcome: Outcome | None) -> None:
    """Greylisting and a lost line say nothing."""
    assert outcome_of(answer) is outcome  # type: ignore[arg-type]


def after(row: Account, now: datetime = NOW, guard: Guard | None = None, **counts: int) -> Account:
    rules = PaceRules(pause=guard or Guard())
    return judged(row, Noted(**counts), rules, now, account="mail")


def test_each_rest_is_twice_as_long_up_to_a_quarter_of_an_hour() -> None:
    """Many answers to the same haste are one strike; the next slot waits for the end of the rest."""
    row, rests, now = FRESH, list[float](), NOW
    for _ in range(10):
        row = after(row, now, throttled=40)
        assert row == after(row, now + seconds(1), throttled=40)
        assert row.rest_until is not None
        rests.append((row.rest_until - now).total_seconds())
        now = row.rest_until

    assert rests == [5, 10, 20, 40, 80, 160, 320, 640, 900, 900]
    assert one(row, PaceRules(), 5, now - seconds(7))[1].at == now
    assert one(row, PaceRules(), 5, now)[1].count == 5


def test_the_remote_may_ask_for_a_longer_rest() -> None:
    """Its own word counts when it is longer than ours."""
    noted = Noted()
    noted.add(Outcome.THROTTLED, seconds(600))

    row = judged(FRESH, noted, PaceRules(), NOW, account="mail")

    assert row.rest_until == NOW + seconds(600)


def test_successes_take_the_strikes_away() -> None:
    """A hundred accepted ones forgive one strike."""
    row = after(after(FRESH, throttled=1), NOW + seconds(6), throttled=1)
    calm = after(after(row, NOW + seconds(60), accepted=60), NOW + seconds(61), accepted=40)

    assert (row.strikes, calm.strikes) == (2, 1)
    assert after(calm, accepted=1000).strikes == 0


def test_too_many_refused_recipients_pause_the_account() -> None:
    """More than five in a hundred of the last five hundred: a person is told what and what to do."""
    row = after(FRESH, accepted=400, refused=25)
    assert row.paused == ""

    row = after(row, refused=1)

    assert row.paused == (
        "mail: paused, because 26 of the last 426 recipients were refused (the limit is 5.0%); "
        "find out why, clean the list, then run: bot resume mail"
    )
    grant = one(row, PaceRules(), 5, NOW)[1]
    assert (grant.count, grant.reason) == (0, row.paused)


def test_one_bad_address_in_a_small_list_pauses_nothing() -> None:
    """Ten of thirty are many, but not many of five hundred."""
    assert after(FRESH, accepted=20, refused=10).paused == ""


def test_complaints_weigh_more() -> None:
    """Five readers of five hundred who call it spam are too many; two may be one stranger's."""
    assert after(FRESH, accepted=400, complaint=4).paused == ""
    assert "5 of the last 400 readers complained (the limit is 0.3%)" in (
        after(FRESH, accepted=400, complaint=5).paused
    )


def test_bounces_that_come_back_later_count_once() -> None:
    """They were among those that were taken: the share is of these."""
    row = after(FRESH, accepted=500)

    assert after(row, returned=25).paused == ""
    assert "26 of the last 500 letters came back (the limit is 5.0%)" in after(row, returned=26).paused


def test_what_comes_back_is_counted_among_all_that_went_out() -> None:
    """Days after 20,000 letters, not among the last 500 of them; nor does the next issue begin by pausing."""
    row = FRESH
    for _ in range(40):
        row = after(row, accepted=500)
    row = after(row, NOW + timedelta(days=3), returned=900, complaint=60)
    assert row.paused == ""

    assert after(row, NOW + timedelta(days=7), accepted=10).paused == ""
    assert "61 of the last 20000 readers complained" in after(row, complaint=1).paused


def test_what_came_back_is_forgotten_with_the_second_issue() -> None:
    """A week of sending counts and the one before, however long nothing went out in between."""
    row = after(after(FRESH, accepted=500), returned=20)

    late = after(row, NOW + timedelta(days=90), returned=6)
    second = after(row, NOW + timedelta(days=28), accepted=100)
    third = after(second, NOW + timedelta(days=56), accepted=100)

    assert late.paused != ""
    assert after(second, returned=11).paused != ""
    assert after(third, returned=25).paused == ""


def test_after_a_person_let_it_go_on_more_must_come_back() -> None:
    """What was taken is remembered; complaints about it that came before are not held against it again."""
    row = after(after(FRESH, accepted=20_000), complaint=61)
    assert row.paused_at == NOW

    free = resumed(row)

    assert after(free, complaint=60).paused == ""
    assert after(free, complaint=61).paused != ""


def test_old_refusals_are_forgotten() -> None:
    """Only the latest count: twenty refusals now and twenty a thousand mails later are well."""
    row = after(FRESH, accepted=230, refused=20)
    for _ in range(10):
        row = after(row, accepted=100)

    assert after(row, refused=20).paused == ""


def test_a_large_group_of_answers_is_judged_by_its_share() -> None:
    """Two thousand answers at once with three in a hundred refused are below the limit."""
    assert after(FRESH, accepted=1940, refused=60).paused == ""
    assert after(FRESH, accepted=1880, refused=120).paused != ""


def test_a_person_lets_it_go_on() -> None:
    """The sample is fresh, and what was used stays used."""
    used, _ = one(FRESH, PaceRules(per_hour=10), 10, NOW)
    row = after(after(used, refused=30), throttled=1)

    free = resumed(row)

    assert (free.paused, free.rest_until, free.strikes, free.refused) == ("", None, 0, 0)
    assert one(free, PaceRules(per_hour=10), 1, NOW)[1].reason == "per_hour = 10 is used up"


# --------------------------------------------------------------------------- slots in hand


def granted(*slots: tuple[float, str], grace: float = 0.1) -> Grant:
    return Grant(now=NOW, slots=slots, grace=grace)


def test_a_message_goes_when_its_slot_has_come() -> None:
    """Not before, and each slot once."""
    allowance = Allowance()
    allowance.add(granted((0.0, ""), (0.5, "")), received=100.0)

    taken = [allowance.take(moment) for moment in (100.0, 100.0, 100.49, 100.5, 100.51)]

    assert taken == [True, False, False, True, False]
    assert allowance.wait(100.51) is None


def test_a_slot_that_is_too_late_is_dropped() -> None:
    """It is not made up for: late ones together would be the burst that limits forbid."""
    allowance = Allowance()
    allowance.add(granted((0.0, ""), (0.1, ""), (0.2, ""), (0.9, "")), received=100.0)

    assert allowance.wait(100.25) == 0
    assert [allowance.take(100.25) for _ in range(3)] == [True, False, False]
    assert allowance.dropped == 2
    assert allowance.wait(100.4) == pytest.approx(0.5)
    assert (allowance.left(100.4), allowance.left(101.5)) == (1, 0)


def test_a_slot_belongs_to_its_domain() -> None:
    """One for gmail.com is for nobody else."""
    allowance = Allowance()
    allowance.add(granted((0.0, "gmail.com"), (0.0, "")), received=0.0)

    taken = [allowance.take(0.0, domain) for domain in ("web.de", "gmail.com", "gmail.com", "")]

    assert taken == [False, True, False, True]


def test_slots_in_hand_can_be_given_up() -> None:
    """When somebody holds the issue."""
    allowance = Allowance()
    allowance.add(granted((0.0, "")), received=0.0)

    allowance.clear()

    assert not allowance.take(0.0)


@given(delays=st.lists(st.floats(0, 0.4), min_size=5, max_size=80), per_second=st.sampled_from([3, 14, 50]))
def test_late_wake_ups_never_bring_a_second_past_its_grace(delays: list[float], per_second: int) -> None:
    """At 14 a second never more than 16 in any second, however late the process wakes up."""
    rules = PaceRules(per_second=per_second)
    account, allowance, moment, gone = FRESH, Allowance(), 0.0, list[float]()
    for delay in delays:
        if allowance.left(moment) == 0:
            account, grant = one(account, rules, 7, NOW + seconds(moment))
            allowance.add(grant, received=moment)
        moment += (allowance.wait(moment) or 0) + delay
        while allowance.take(moment):
            gone.append(moment)

    assert fullest(gone, 1) <= -(-per_second * (1 + rules.grace) // 1)
    assert per_second != 14 or fullest(gone, 1) <= 16
