"""Who of a list reads: the exports of many services, person by person, and what has to be asked."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.app.readers import OpenQuestions, import_readers
from bot.app.setup import make_workspace
from bot.app.workspace import Workspace
from bot.audience import states
from bot.audience.cells import spoken
from bot.audience.lists import ReaderList
from bot.audience.states import ANSWERS, WORDS, Aspect, Fate, aspect_of, names_the_gone
from bot.audience.survey import Answers, Question, read_answers
from bot.errors import AudienceError
from bot.store.departures import Leaver
from tests.support.commands import bot, fingerprint

READS, LEFT, DEAD, BLOCKED = Fate.READS, Fate.LEFT, Fate.DEAD, Fate.BLOCKED
UNAGREED, DISABLED = Fate.UNAGREED, Fate.DISABLED
ASK = "ask"

_MAILCHIMP = "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,CONFIRM_TIME,{own}LEID,EUID,NOTES\n"
_GOOGLE = (
    "Members for group shelf-readers\n"
    "Email address,Nickname,Group status,Email status,Email preference,Posting permissions,"
    "Join year,Join month,Join day,Time zone\n"
)

# Shapes as the services give them out, people made up. Who is expected to be what stands in the local part.
SERVICES: dict[str, tuple[str, str, dict[str, Fate | str]]] = {
    "mailchimp, subscribed": (
        "subscribed_members_export_1.csv",
        _MAILCHIMP.format(own="")
        + "ana@example.org,Ana,2,,2024-02-01 09:00:00,1,a,\n"
        + "bea@example.org,Bea,2,2024-02-01 09:00:00,2024-02-01 09:00:00,2,b,\n",
        {"ana": READS, "bea": READS},
    ),
    "mailchimp, cleaned": (
        "cleaned_members_export_1.csv",
        _MAILCHIMP.format(own="CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,")
        + "cy@example.org,Cy,2,,,2024-03-01 10:00:00,May,3,c,\n",
        {"cy": DEAD},
    ),
    "mailchimp, nonsubscribed": (
        "nonsubscribed_members_export_1.csv",
        _MAILCHIMP.format(own="") + "di@example.org,Di,2,,2024-02-01 09:00:00,4,d,\n",
        {"di": UNAGREED},
    ),
    "listmonk": (
        "subscribers.csv",
        "uuid,email,name,attributes,status,created_at,updated_at\n"
        "1,ana@example.org,Ana,{},enabled,2024,2024\n2,bo@example.org,Bo,{},blocklisted,2024,2024\n"
        "3,di@example.org,Di,{},disabled,2024,2024\n",
        {"ana": READS, "bo": BLOCKED, "di": DISABLED},
    ),
    "substack": (
        "email_list.shelf.csv",
        "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at\n"
        "ana@example.org,false,,other,false,2024-02-01T09:00:00.000Z,\n"
        "bo@example.org,true,,monthly,true,2024-02-01T09:00:00.000Z,\n",
        {"ana": READS, "bo": LEFT},
    ),
    "ghost": (
        "members.csv",
        "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels\n"
        "1,ana@example.org,Ana,,true,false,,2024,,press\n2,bo@example.org,Bo,,false,false,,2024,,\n"
        "3,cy@example.org,Cy,,true,false,,2024,2024-03-01T09:00:00Z,\n",
        {"ana": READS, "bo": LEFT, "cy": LEFT},
    ),
    "brevo": (
        "contacts.csv",
        "CONTACT ID;EMAIL;FIRSTNAME;EMAIL_BLACKLISTED;SMS_BLACKLISTED;DOUBLE_OPT-IN;ADDED_TIME\n"
        "1;ana@example.org;Ana;no;yes;Yes;2024-02-01\n2;bo@example.org;Bo;yes;no;Yes;2024-02-01\n"
        "3;di@example.org;Di;no;no;No;2024-02-01\n4;eli@example.org;Eli;0;0;;2024-02-01\n",
        {"ana": READS, "bo": BLOCKED, "di": UNAGREED, "eli": UNAGREED},
    ),
    "brevo, in words": (
        "contacts.csv",
        "EMAIL,Email marketing status\nana@example.org,Subscribed\nbo@example.org,Unsubscribed\n"
        "cy@example.org,Never subscribed\ndi@example.org,\n",
        {"ana": READS, "bo": LEFT, "cy": UNAGREED, "di": UNAGREED},
    ),
    "buttondown": (
        "subscribers.csv",
        "email,notes,metadata,tags,subscriber_type,source,creation_date,utm_campaign\n"
        + "".join(
            f"{kind.split('_')[0]}@example.org,,{{}},,{kind},api,2024,\n"
            for kind in (
                *("regular", "premium", "gifted", "unactivated", "unsubscribed", "complained"),
                *("undeliverable", "removed", "blocked", "spammy", "churned", "past_due"),
            )
        ),
        {
            "regular": READS,
            "premium": READS,
            "gifted": READS,
            "unactivated": UNAGREED,
            "unsubscribed": LEFT,
            "complained": BLOCKED,
            "undeliverable": DEAD,
            "removed": LEFT,
            "blocked": BLOCKED,
            "spammy": BLOCKED,
            "churned": ASK,
            "past": ASK,
        },
    ),
    "kit": (
        "subscribers.csv",
        "id,first_name,email,state,created_at,tags\n1,Ana,ana@example.org,active,2024,\n"
        "2,Bo,bo@example.org,cancelled,2024,\n3,Cy,cy@example.org,bounced,2024,\n"
        "4,Di,di@example.org,complained,2024,\n5,Eli,eli@example.org,inactive,2024,\n",
        {"ana": READS, "bo": LEFT, "cy": DEAD, "di": BLOCKED, "eli": UNAGREED},
    ),
    "phplist": (
        "phplist_export.csv",
        "id\temail\tconfirmed\tblacklisted\toptedin\tbouncecount\tentered\tuniqid\thtmlemail\tdisabled\n"
        "1\tana@example.org\t1\t0\t0\t2\t2024-01-01\tu1\t1\t0\n2\tbo@example.org\t1\t1\t0\t0\t2024\tu2\t1\t0\n"
        "3\tcy@example.org\t0\t0\t0\t0\t2024\tu3\t1\t0\n4\tdi@example.org\t1\t0\t0\t0\t2024\tu4\t1\t1\n",
        {"ana": READS, "bo": BLOCKED, "cy": UNAGREED, "di": DISABLED},
    ),
    "mailerlite": (
        "subscribers.csv",
        "Subscriber,Status,Sent,Opens,Clicks,Subscribed,Unsubscribed,Location,State,Country\n"
        "ana@example.org,Active,3,1,0,2024-01-02 10:00:00,,,Porto,PT\n"
        "bo@example.org,Unsubscribed,3,1,0,2024-01-02 10:00:00,2024-05-01 10:00:00,,Porto,PT\n"
        "cy@example.org,Junk,3,1,0,2024-01-02 10:00:00,,,,PT\n"
        "di@example.org,Unconfirmed,3,1,0,2024-01-02 10:00:00,,,,PT\n"
        "eli@example.org,Bounced,3,1,0,2024-01-02 10:00:00,0000-00-00 00:00:00,,,PT\n",
        {"ana": READS, "bo": LEFT, "cy": BLOCKED, "di": UNAGREED, "eli": DEAD},
    ),
    "beehiiv": (
        "subscribers.csv",
        "Email,Status,Subscription Tier,Created At,UTM Source\nana@example.org,Active,Free,2024,\n"
        "bo@example.org,Inactive,Free,2024,\ncy@example.org,Validating,Free,2024,\n"
        "di@example.org,Invalid,Free,2024,\neli@example.org,Pending,Free,2024,\n",
        {"ana": READS, "bo": LEFT, "cy": UNAGREED, "di": DEAD, "eli": UNAGREED},
    ),
    "google groups": (
        "shelf-readers.csv",
        _GOOGLE + "ana@example.org,Ana,member,,email,allowed,2019,1,1,UTC\n"
        "bo@example.org,Bo,member,,no email,allowed,2019,1,1,UTC\n"
        "cy@example.org,Cy,member,bouncing,digest,not allowed,2019,1,1,UTC\n"
        "di@example.org,Di,invited,,email,allowed,2019,1,1,UTC\n"
        "eli@example.org,Eli,owner,,abridged,moderated,2019,1,1,UTC\n",
        {"ana": READS, "bo": LEFT, "cy": DEAD, "di": UNAGREED, "eli": READS},
    ),
    "mailman": (
        "members.txt",
        '"Silva, Rui" <rui@example.org>\nAna Lima <ana@example.org>\nbo@example.org\n',
        {"rui": READS, "ana": READS, "bo": READS},
    ),
    "campaign monitor": (
        "list.csv",
        "Email Address,Name,State,Date Subscribed,Date Unsubscribed,Permission to track\n"
        "ana@example.org,Ana,Active,2024-01-01,,No\nbo@example.org,Bo,Unsubscribed,2024-01-01,2024-02-02,Yes\n"
        "cy@example.org,Cy,Bounced,2024-01-01,,Yes\ndi@example.org,Di,Unconfirmed,2024-01-01,,Yes\n"
        "eli@example.org,Eli,Deleted,2024-01-01,,Yes\n",
        {"ana": READS, "bo": LEFT, "cy": DEAD, "di": UNAGREED, "eli": LEFT},
    ),
    "klaviyo": (
        "people.csv",
        "Email,Klaviyo ID,First Name,Email Marketing Consent,Email Marketing Consent Timestamp,"
        "Email Suppressions,SMS Marketing Consent\nana@example.org,1,Ana,SUBSCRIBED,,[],NEVER_SUBSCRIBED\n"
        "bo@example.org,2,Bo,UNSUBSCRIBED,2024-01-01,[],\ncy@example.org,3,Cy,NEVER_SUBSCRIBED,,,\n"
        "di@example.org,4,Di,SUBSCRIBED,2024-01-01,HARD_BOUNCE,\neli@example.org,5,Eli,,,,\n",
        {"ana": READS, "bo": LEFT, "cy": UNAGREED, "di": DEAD, "eli": UNAGREED},
    ),
    "hubspot": (
        "contacts.csv",
        "Record ID,First Name,Email,Lifecycle Stage,Lead Status,Unsubscribed from all email,"
        "Email hard bounce reason,Marketing contact status,Marketing emails bounced\n"
        "1,Ana,ana@example.org,lead,NEW,,,Marketing contact,1\n"
        "2,Bo,bo@example.org,lead,NEW,true,,Marketing contact,\n"
        "3,Cy,cy@example.org,lead,OPEN,,UNKNOWN_USER,Marketing contact,2\n"
        "4,Di,di@example.org,lead,,,,Non-marketing contact,\n",
        {"ana": READS, "bo": LEFT, "cy": DEAD, "di": UNAGREED},
    ),
    "sendy": (
        "shelf-all.csv",
        "Name,Email,Status\nAna,ana@example.org,Subscribed\nBo,bo@example.org,Unsubscribed\n"
        "Cy,cy@example.org,Bounced\nDi,di@example.org,Marked as spam\nEli,eli@example.org,Unconfirmed\n",
        {"ana": READS, "bo": LEFT, "cy": DEAD, "di": BLOCKED, "eli": UNAGREED},
    ),
    "kobo": (
        "form.csv",
        "start,end,Your e-mail,Do you agree to receive our newsletter?,_id,_uuid,_submission_time,"
        "_validation_status,_status\n2024,2024,ana@example.org,Yes,1,u,2024,,submitted_via_web\n"
        "2024,2024,bo@example.org,No,2,u,2024,,submitted_via_web\n"
        "2024,2024,cy@example.org,,3,u,2024,,submitted_via_web\n"
        "2024,2024,di@example.org,only by post,4,u,2024,,submitted_via_web\n",
        {"ana": READS, "bo": UNAGREED, "cy": UNAGREED, "di": ASK},
    ),
    "emailoctopus": (
        "contacts.csv",
        "Email address,First name,Status,Tags\nana@example.org,Ana,SUBSCRIBED,press\n"
        'bo@example.org,Bo,UNSUBSCRIBED,\ncy@example.org,Cy,PENDING,"press,union"\n',
        {"ana": READS, "bo": LEFT, "cy": UNAGREED},
    ),
    "constant contact": (
        "contacts.csv",
        "Email address,First name,Email status,Email permission status\n"
        "ana@example.org,Ana,Active,Confirmed\nbo@example.org,Bo,Unsubscribed,Unsubscribed\n"
        "cy@example.org,Cy,No Permissions Set,\ndi@example.org,Di,Awaiting Confirmation,Pending\n",
        {"ana": READS, "bo": LEFT, "cy": UNAGREED, "di": UNAGREED},
    ),
    "moosend": (
        "members.csv",
        "Email,Name,Status,Unsubscribed On\nana@example.org,Ana,Subscribed,n/a\n"
        "bo@example.org,Bo,Removed,n/a\ncy@example.org,Cy,Subscribed,2024-01-01\n",
        {"ana": READS, "bo": LEFT, "cy": LEFT},
    ),
    "shopify": (
        "customers.csv",
        "First Name,Email,Accepts Email Marketing,Accepts SMS Marketing\nAna,ana@example.org,yes,no\n"
        "Bo,bo@example.org,no,yes\n",
        {"ana": READS, "bo": UNAGREED},
    ),
}


def saved(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def fates(path: Path, answers: tuple[tuple[str, str], ...] = ()) -> dict[str, Fate]:
    """What becomes of each person, by the local part of the address."""
    readers, found = ReaderList(path, answers=Answers(answers)), {}

    def hear(fate: Fate, address: str) -> None:
        found[address.partition("@")[0]] = fate

    list(readers.leavers((), refuse=pytest.fail, pass_over=lambda _: None, hear_fate=hear))
    for who in readers.signups((), ("weekly",), refuse=pytest.fail):
        found[who.address.partition("@")[0]] = Fate.READS
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_everybody_in_an_export_is_what_the_service_says(tmp_path: Path, name: str) -> None:
    """Nobody is a reader who is none there; what cannot be known is asked, and not taken till then."""
    file, text, expected = SERVICES[name]
    path = saved(tmp_path / file, text)

    found = fates(path)

    assert found == {who: UNAGREED if fate == ASK else fate for who, fate in expected.items()}
    asked = sum(question.people for question in ReaderList(path).questions)
    assert asked == list(expected.values()).count(ASK)


_WORD = st.text("abcdefghijklmnopqrstuvwxyzéßñกขคسلم", min_size=1, max_size=12).filter(
    lambda word: word not in {*WORDS, *states._YES_WORDS, *states._NO_WORDS, *states._NOTHING}
)
_TITLES = (
    *(
        "is Subscribed",
        "Has Opted Out Of Email",
        "Newsletter?",
        "Mailing list",
        "Marketing",
        "Abo",
        "date_left",
    ),
    *("Kündigung", "Austritt", "ลงทะเบียน", "مفعل", "Do not disturb", "Wants newsletter", "Leave date"),
    *("Status", "status", "STATE", "type", "Email status", "Email marketing status", "opt_in_status"),
    *("List status", "Permission", "Marketing Permissions", "Can email?", "Do Not Contact", "unsub_date"),
    *(
        "Subscribed",
        "Confirmed",
        "Consent",
        "Blacklisted",
        "Bounced",
        "Disabled",
        "Active",
        "Opt-in",
        "Newsletter",
    ),
    *(
        "Status (Subscribed/Unsubscribed)",
        "Abonné",
        "Estado",
        "Abgemeldet am",
        "Desinscrito",
        "สถานะ",
        "الحالة",
    ),
    *(
        "Inscrito",
        "Aktiv",
        "Einwilligung",
        "Consentimiento",
        "ยกเลิกเมื่อ",
        "مشترك",
        "Not subscribed",
        "Inactive",
    ),
)


@settings(max_examples=150, deadline=None)
@given(title=st.sampled_from(_TITLES), words=st.lists(_WORD, min_size=1, max_size=4, unique=True))
def test_no_unknown_word_makes_a_reader(title: str, words: list[str]) -> None:
    """Below any title that speaks of a state, in any of the languages."""
    rows = "".join(f"r{number}@example.org,{word}\n" for number, word in enumerate(words))
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder, "list.csv"), f"email,{title}\nana@example.org,active\n{rows}")

        found, questions = fates(path), ReaderList(path).questions

    readers = {who for who, fate in found.items() if fate is READS}
    assert readers <= {"ana"}
    assert {question.value for question in questions} >= set(words)


@pytest.mark.parametrize("title", _TITLES)
def test_each_of_these_titles_speaks_of_a_state(title: str) -> None:
    """As people and programs write them."""
    assert aspect_of(spoken(title)) is not None


@pytest.mark.parametrize(
    ("title", "value", "fate"),
    [
        ("Unsubscribed on", "n/a", READS),
        ("Unsubscribed on", "-", READS),
        ("Unsubscribed on", "0000-00-00", READS),
        ("Unsubscribed on", "3 May 2024", LEFT),
        ("Unsubscribed", "✓", LEFT),
        ("Unsubscribed", "maybe", ASK),
        ("Unsubscribed", "confirmed", ASK),
        ("Opted out", "no", READS),
        ("Do Not Contact", "TRUE", LEFT),
        ("Confirmed", "no", UNAGREED),
        ("Confirmed", "0", UNAGREED),
        ("Confirmed", "2024-01-01", READS),
        ("Subscribed", "nein", LEFT),
        ("Subscribed", "2", ASK),
        ("Not subscribed", "no", ASK),
        ("Inactive", "1", ASK),
        ("Hard Bounce Reason", "mailbox gone", DEAD),
        ("Complained", "1", BLOCKED),
        ("Abonné", "non", LEFT),
        ("Abgemeldet am", "01.02.2024", LEFT),
        ("Desinscrito", "sim", LEFT),
        ("Dado de baja", "sí", LEFT),
        ("สถานะ", "ยกเลิก", LEFT),
        ("الحالة", "ملغى", LEFT),
        ("Foo", "unsubscribed", LEFT),
        ("isSubscribed", "false", LEFT),
        ("emailOptOut", "TRUE", LEFT),
        ("Note", "please unsubscribe me", ASK),
    ],
)
def test_a_value_means_what_its_title_makes_of_it(
    tmp_path: Path, title: str, value: str, fate: Fate | str
) -> None:
    """ "Yes" below "unsubscribed" is not "yes" below "subscribed"."""
    path = saved(tmp_path / "list.csv", f'email,{title}\nbo@example.org,"{value}"\n')

    questions = ReaderList(path).questions

    assert fates(path) == {"bo": UNAGREED if fate == ASK else fate}
    assert bool(questions) == (fate == ASK)


@pytest.mark.parametrize(
    ("title", "filled", "empty"),
    [
        ("Status", "unsubscribed", READS),  # only those who left are marked
        ("Status", "active", ASK),
        ("Consent", "yes", UNAGREED),
        ("Subscribed", "yes", ASK),
        ("Unsubscribed", "yes", READS),
    ],
)
def test_an_empty_cell_means_no_reader_where_readers_are_marked(
    tmp_path: Path, title: str, filled: str, empty: Fate | str
) -> None:
    """Only about leaving does it say that somebody stayed."""
    path = saved(tmp_path / "list.csv", f"email,{title}\nana@example.org,{filled}\nbo@example.org,\n")

    assert fates(path)["bo"] == (UNAGREED if empty == ASK else empty)
    assert bool(ReaderList(path).questions) == (empty == ASK)


def test_columns_that_contradict_each_other_say_the_worst(tmp_path: Path) -> None:
    """Subscribed there, and blocked for a complaint."""
    text = "email,status,bounced,complained\nana@example.org,active,1,0\nbo@example.org,subscribed,1,yes\n"

    assert fates(saved(tmp_path / "list.csv", text)) == {"ana": DEAD, "bo": BLOCKED}


def test_a_state_without_titles_is_found_by_its_words(tmp_path: Path) -> None:
    """Nobody is called "unsubscribed"."""
    path = saved(tmp_path / "list.csv", "bo@example.org,unsubscribed\ncy@example.org,bounced\n")

    assert fates(path) == {"bo": LEFT, "cy": DEAD}


def test_a_word_of_a_state_among_other_tags_is_asked_about(tmp_path: Path) -> None:
    """And the others beside it too: the column speaks of states."""
    path = saved(tmp_path / "list.csv", 'email,Labels\nana@example.org,"vip, unsubscribed"\n')

    (question,) = ReaderList(path).questions

    assert (question.column, question.value, question.people) == ("Labels", "vip, unsubscribed", 1)


def test_a_column_that_says_nothing_of_a_state_is_told(tmp_path: Path) -> None:
    """It is not read, and whoever imports knows."""
    readers = ReaderList(saved(tmp_path / "list.csv", "email,town\nana@example.org,Porto\n"))

    assert readers.told.endswith("; not read: town")
    assert readers.questions == ()


# --------------------------------------------------------------------------- answers


@pytest.mark.parametrize(("said", "fate"), ANSWERS.items())
@pytest.mark.parametrize("what", ["vip", "Status=VIP", "Status=*"])
def test_an_answer_decides(tmp_path: Path, said: str, fate: Fate, what: str) -> None:
    """By the value, by column and value, or for the whole column."""
    path = saved(tmp_path / "list.csv", "email,Status\nbo@example.org,VIP\n")

    assert fates(path, ((said, what),)) == {"bo": fate}
    assert ReaderList(path, answers=Answers([(said, what)])).questions == ()


def test_an_answer_does_not_bring_back_who_left(tmp_path: Path) -> None:
    """What is known is not asked, and no answer changes it."""
    path = saved(tmp_path / "list.csv", "email,Status\nbo@example.org,unsubscribed\n")

    assert fates(path, (("reads", "unsubscribed"), ("reads", "Status=*"))) == {"bo": LEFT}


def test_answers_from_a_file() -> None:
    """A line each; comments and blank lines are none."""
    assert read_answers("# ours\nleft Gone away\n\nreads Status=VIP\n") == [
        ("left", "Gone away"),
        ("reads", "Status=VIP"),
    ]


@pytest.mark.parametrize("said", [("gone", "VIP"), ("left", "*")])
def test_an_answer_that_cannot_be_understood_is_told(said: tuple[str, str]) -> None:
    """Before anything is read."""
    with pytest.raises(AudienceError):
        Answers([said])


# --------------------------------------------------------------------------- whole files


@pytest.mark.parametrize(
    "name",
    [
        *(
            "unsubscribed_2024.csv",
            "Unsubscribes.csv",
            "shelf-unsubscribed.csv",
            "bounced.csv",
            "cleaned list.csv",
        ),
        *(
            "suppression_list.csv",
            "blocklist.csv",
            "shelf-marked-as-spam.csv",
            "opt-outs.csv",
            "shelf-unconfirmed.csv",
        ),
        *(
            "Abgemeldete.csv",
            "désabonnés.csv",
            "bajas.csv",
            "descadastrados.csv",
            "ยกเลิก.csv",
            "إلغاء الاشتراك.csv",
        ),
    ],
)
def test_a_file_whose_name_says_so_is_asked_about(tmp_path: Path, name: str) -> None:
    """Nobody in it reads before somebody answered for the file."""
    path = saved(tmp_path / name, "email\nbo@example.org\n")

    assert ReaderList(path).questions == (Question(column="file name", value=name, people=1),)
    assert fates(path) == {"bo": UNAGREED}
    assert fates(path, (("left", name),)) == {"bo": LEFT}
    assert fates(path, (("reads", name),)) == {"bo": READS}


@pytest.mark.parametrize(
    "name", ["subscribed.csv", "subscribers.csv", "list.csv", "newsletter-2024.csv", "all.csv"]
)
def test_an_ordinary_name_is_no_question(name: str) -> None:
    """A list of subscribers is a list of subscribers."""
    assert not names_the_gone(name)


def test_each_table_of_a_zip_is_asked_about_by_its_name(tmp_path: Path) -> None:
    """One may hold the readers, and the other those who left."""
    path = tmp_path / "lists.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("active.csv", "email\nana@example.org\n")
        archive.writestr("unsubscribes.csv", "email\nbo@example.org\n")

    assert [question.value for question in ReaderList(path).questions] == ["unsubscribes.csv"]
    assert fates(path, (("left", "unsubscribes.csv"),)) == {"ana": READS, "bo": LEFT}


# --------------------------------------------------------------------------- into a workspace


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workspace]:
    make_workspace(tmp_path / "news")
    workspace = Workspace(tmp_path / "news")
    yield workspace
    workspace.release()


def test_an_unknown_value_stops_the_import_before_it_begins(here: Workspace, tmp_path: Path) -> None:
    """Column, value, how many people, and how to answer; nothing is written, not even those who are clear."""
    rows = "ana@example.org,active\nbo@example.org,resting\ncy@example.org,resting\n"
    file = saved(tmp_path / "list.csv", f"email,Status\n{rows}")
    bot("status", workspace=here.root)
    before = fingerprint(here.root)

    ran = bot("subscribers", "import", file, workspace=here.root)

    assert ran.code == 3
    assert "column 'Status': 'resting' of 2 people" in ran.err
    assert "--as FATE VALUE" in ran.err
    assert fingerprint(here.root) == before
    with pytest.raises(OpenQuestions):
        import_readers(here, file)


def test_a_script_answers(here: Workspace, tmp_path: Path) -> None:
    """On the command line, or from a file."""
    rows = "ana@example.org,active\nbo@example.org,resting\ncy@example.org,asleep\n"
    file = saved(tmp_path / "list.csv", f"email,Status\n{rows}")
    answers = saved(tmp_path / "answers.txt", "never-agreed Status=asleep\n")

    ran = bot(
        *("subscribers", "import", file, "--as", "left", "resting", "--answers", answers), workspace=here.root
    )

    assert ran.code == 0, ran.err
    assert here.audience.count("weekly") == 1
    assert "Suppressed 1 who left there" in ran.out


def test_a_later_list_does_not_bring_back_who_is_gone(here: Workspace, tmp_path: Path) -> None:
    """Left, complained, bounced: suppressed. Who never agreed may still do so elsewhere."""
    text = (
        "email,Status\nana@example.org,unsubscribed\nbo@example.org,complained\ncy@example.org,bounced\n"
        "di@example.org,pending\neli@example.org,active\n"
    )
    import_readers(here, saved(tmp_path / "old.csv", text))

    later = import_readers(
        here,
        saved(
            tmp_path / "new.csv", "email\n" + "".join(f"{n}@example.org\n" for n in ("ana", "bo", "cy", "di"))
        ),
    )

    assert (later.suppressed, later.added) == (3, 1)


@pytest.mark.parametrize("order", [("active", "pending"), ("pending", "active")])
@pytest.mark.parametrize("dry", [True, False])
def test_the_worse_of_two_rows_counts(
    here: Workspace, tmp_path: Path, order: tuple[str, str], dry: bool
) -> None:
    """Also when the person only never agreed, which suppresses nobody; and it is said."""
    rows = "".join(f"bo@example.org,{status}\n" for status in order)
    file = saved(tmp_path / "list.csv", f"email,Status\n{rows}")

    result = import_readers(here, file, dry_run=dry)
    ran = bot("subscribers", "import", file, "--dry-run", workspace=here.root)

    assert (result.added, result.set_aside) == (0, 1)
    assert "Left out 1 more: another row says that they are not taken." in ran.out


def test_a_whole_file_of_people_who_left(here: Workspace, tmp_path: Path) -> None:
    """All are suppressed, those who read until now too."""
    import_readers(here, saved(tmp_path / "list.csv", "email\nana@example.org\nbo@example.org\n"))
    gone = saved(tmp_path / "unsubscribes.csv", "email,Status\nbo@example.org,whatever\ncy@example.org,\n")

    asked = bot("subscribers", "import", gone, workspace=here.root)
    ran = bot("subscribers", "import", gone, "--left", workspace=here.root)

    assert asked.code == 3
    assert "column 'file name': 'unsubscribes.csv' of 2 people" in asked.err
    assert ran.code == 0, ran.err
    assert "Suppressed 2 who left there" in ran.out
    assert here.audience.count("weekly") == 1


def test_a_dry_run_shows_each_fate_with_examples(here: Workspace, tmp_path: Path) -> None:
    """Three of each, and no address in full."""
    rows = "".join(f"r{n}@example.org,{'active' if n % 2 else 'unsubscribed'}\n" for n in range(10))
    file = saved(tmp_path / "list.csv", f"email,Status\n{rows}")

    ran = bot("subscribers", "import", file, "--dry-run", workspace=here.root)

    assert "  reads: 5 (r…@example.org, r…@example.org, r…@example.org)" in ran.out
    assert "  left: 5 (r…@example.org, r…@example.org, r…@example.org)" in ran.out
    assert "r1@example.org" not in ran.out


def test_a_leaver_of_no_newsletter_is_only_not_taken() -> None:
    """It is told apart from those who are suppressed by what it does not name."""
    assert Leaver("di@example.org", (), "never agreed").newsletters == ()


def test_every_aspect_has_a_title() -> None:
    """None is dead code."""
    titles = [*_TITLES, "Unconfirmed", "Valid email"]
    assert {aspect_of(spoken(title)) for title in titles} >= set(Aspect)
