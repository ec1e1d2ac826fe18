"""Lists as Mailchimp, listmonk, Substack and Ghost give them out: who reads, and who left."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.app.readers import import_readers
from bot.app.setup import make_workspace
from bot.app.workspace import Workspace
from bot.audience import archives
from bot.audience.lists import ReaderList
from bot.audience.spreadsheet import Refused
from bot.errors import AudienceError
from bot.store.audience import Signup
from bot.store.departures import Leaver
from tests.support.commands import bot, fingerprint

MAILCHIMP = (
    '"Email Address","First Name","Last Name",Address,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,'
    "CONFIRM_IP,LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION,{own}LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
)
_ROW = (
    '{address},{name},Lima,"Rua 1, Porto",2,"2024-02-01 09:00:00",,'
    '"2024-02-01 09:01:00",,,,,,,,,{own}"2024-02-01 09:01:00",1,a1,,"""union"""\n'
)
LEFT = "UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,UNSUB_REASON_OTHER,"
CLEANED = "CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,"


def mailchimp(address: str, *, titles: str = "", values: str = "") -> str:
    """One table of an audience export, with one person."""
    return MAILCHIMP.format(own=titles) + _ROW.format(address=address, name="Ana", own=values)


MAILCHIMP_ZIP = {
    "subscribed_email_audience_export_1a1065.csv": mailchimp("ana@shelf.ngo"),
    "unsubscribed_email_audience_export_1a1065.csv": mailchimp(
        "bo@shelf.ngo", titles=LEFT, values='"2024-03-01 10:00:00",May,c1,N/A,,'
    ),
    "cleaned_email_audience_export_1a1065.csv": mailchimp(
        "cy@shelf.ngo", titles=CLEANED, values='"2024-03-01 10:00:00",May,c1,'
    ),
    "nonsubscribed_email_audience_export_1a1065.csv": mailchimp("di@shelf.ngo"),
}
LISTMONK = (
    "uuid,email,name,attributes,status,created_at,updated_at\n"
    '5e91dda1-1c16-467d-9bf9-2a21bf22ae21,ana@shelf.ngo,Ana,"{""lang"": ""pt_BR"", ""city"": 1}",enabled,'
    "2024-02-01 09:00:00 +0000 UTC,2024-02-01 09:00:00 +0000 UTC\n"
    "5e91dda1-1c16-467d-9bf9-2a21bf22ae22,bo@shelf.ngo,Bo,{},blocklisted,2024-02-01 09:00:00 +0000 UTC,x\n"
    "5e91dda1-1c16-467d-9bf9-2a21bf22ae23,di@shelf.ngo,Di,not JSON,disabled,2024-02-01 09:00:00 +0000 UTC,x\n"
)
SUBSTACK_ZIP = {
    "email_list.shelf.csv": "email,active_subscription,expiry,plan,email_disabled,created_at,"
    "first_payment_at\n"
    "ana@shelf.ngo,false,,other,false,2024-02-01T09:00:00.000Z,\n"
    "pia@shelf.ngo,true,2027-01-01T00:00:00.000Z,yearly,false,2024-02-01T09:00:00.000Z,2024-02-01\n"
    "bo@shelf.ngo,false,,other,true,2024-02-01T09:00:00.000Z,\n",
    "posts.csv": "post_id,post_date,is_published,type,title\n1,2024-01-01,true,newsletter,One\n",
    "posts/1.one.html": "<p>One</p>",
    "posts/1.opens.csv": "post_id,timestamp,email\n1,2024-01-01,zoe@shelf.ngo\n",
}
GHOST = (
    "id,email,name,note,subscribed_to_emails,complimentary_plan,stripe_customer_id,created_at,deleted_at,labels,tiers\n"
    '1,ana@shelf.ngo,Ana,,true,false,,2024-02-01T09:00:00.000Z,,"union,press",\n'
    "2,bo@shelf.ngo,Bo,,false,true,cus_1,2024-02-01T09:00:00.000Z,,,Friends\n"
    "3,cy@shelf.ngo,Cy,,true,false,,2024-02-01T09:00:00.000Z,2024-03-01T09:00:00.000Z,,\n"
)


@dataclass
class Found:
    """What a list says."""

    told: str
    joins: list[Signup]
    left: list[Leaver]
    refused: list[Refused] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)


def read(path: Path, *, newsletters: tuple[str, ...] = (), service: str = "") -> Found:
    readers = ReaderList(path, service=service)
    found = Found(readers.told, [], [])
    leavers = readers.leavers(newsletters, refuse=found.refused.append, pass_over=found.passed.append)
    found.left = [leaver for leaver in leavers if leaver.newsletters]
    found.joins = list(readers.signups(newsletters, ("weekly",), refuse=found.refused.append))
    return found


def packed(path: Path, tables: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in tables.items():
            archive.writestr(name, text)
    return path


def saved(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_mailchimp_export_is_known_by_its_tables(tmp_path: Path) -> None:
    """Subscribed people join; who unsubscribed or was cleaned is kept away; the others are not taken."""
    found = read(packed(tmp_path / "audience_export.zip", MAILCHIMP_ZIP))

    assert found.joins == [Signup("ana@shelf.ngo", "Ana", "", ("weekly",))]
    assert sorted(found.left) == [
        ("bo@shelf.ngo", ("",), "left at Mailchimp"),
        ("cy@shelf.ngo", ("",), "address dead at Mailchimp"),
    ]
    assert found.passed == ["never agreed to a newsletter"]
    assert "a list from Mailchimp in 4 files" in found.told


def test_leaving_one_list_is_leaving_the_newsletters_it_becomes(tmp_path: Path) -> None:
    """Only a dead address is dead for all of them."""
    found = read(packed(tmp_path / "audience_export.zip", MAILCHIMP_ZIP), newsletters=("weekly",))

    assert sorted((who.address, who.newsletters) for who in found.left) == [
        ("bo@shelf.ngo", ("weekly",)),
        ("cy@shelf.ngo", ("",)),
    ]


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("unsubscribed_members_export_0e63.csv", mailchimp("bo@shelf.ngo"), "left at Mailchimp"),
        ("cleaned_members_export_0e63.csv", mailchimp("bo@shelf.ngo"), "address dead at Mailchimp"),
        ("renamed.csv", mailchimp("bo@shelf.ngo", titles=LEFT, values="2024,,,,,"), "left at Mailchimp"),
        (
            "renamed.csv",
            mailchimp("bo@shelf.ngo", titles=CLEANED, values="2024,,,"),
            "address dead at Mailchimp",
        ),
    ],
    ids=["unsubscribed by name", "cleaned by name", "unsubscribed by titles", "cleaned by titles"],
)
def test_one_table_of_mailchimps_is_enough(tmp_path: Path, name: str, text: str, reason: str) -> None:
    """By the name of the file, and also when somebody gave it another."""
    found = read(saved(tmp_path / name, text))

    assert (found.joins, [who.reason for who in found.left]) == ([], [reason])


def test_a_listmonk_export(tmp_path: Path) -> None:
    """The blocked are kept from everything, the disabled are not taken, attributes may tell a language."""
    found = read(saved(tmp_path / "subscribers.csv", LISTMONK), newsletters=("weekly",))

    assert found.joins == [Signup("ana@shelf.ngo", "Ana", "pt-BR", ("weekly",))]
    assert found.left == [("bo@shelf.ngo", ("",), "blocked at listmonk")]
    assert found.passed == ["is disabled"]
    assert "a list from listmonk" in found.told


def test_a_substack_export(tmp_path: Path) -> None:
    """Only its list of addresses counts; who paid is a reader like any other."""
    found = read(packed(tmp_path / "export.zip", SUBSTACK_ZIP))

    assert [who.address for who in found.joins] == ["ana@shelf.ngo", "pia@shelf.ngo"]
    assert found.left == [("bo@shelf.ngo", ("",), "left at Substack")]
    assert found.refused == []
    assert "a list from Substack" in found.told


def test_a_ghost_export(tmp_path: Path) -> None:
    """Members who take no mail, or were deleted, are kept away."""
    found = read(saved(tmp_path / "members.csv", GHOST))

    assert [who.address for who in found.joins] == ["ana@shelf.ngo"]
    assert [who.reason for who in found.left] == ["left at Ghost", "left at Ghost"]


@pytest.mark.parametrize(
    ("titles", "row"),
    [
        ("email,status", "bo@shelf.ngo,Unsubscribed"),
        ("EMAIL;EMAIL_BLACKLISTED", "bo@shelf.ngo;1"),
        ("email,opted_out", "bo@shelf.ngo,TRUE"),
        ("email,subscribed", "bo@shelf.ngo,no"),
        ("email,unsubscribed_at", "bo@shelf.ngo,2024-01-01"),
        ("email,status", "bo@shelf.ngo,hard-bounced"),
    ],
)
def test_whoever_left_anywhere_is_no_reader(tmp_path: Path, titles: str, row: str) -> None:
    """A table of a system that is not known says so too, in columns that everybody understands."""
    found = read(saved(tmp_path / "list.csv", f"{titles}\n{row}\n"))

    assert found.joins == []
    assert [who.address for who in found.left] == ["bo@shelf.ngo"]


@pytest.mark.parametrize(
    "row", ["ana@shelf.ngo,active,0", "ana@shelf.ngo,,false", "ana@shelf.ngo,subscribed,"]
)
def test_an_ordinary_status_is_no_reason(tmp_path: Path, row: str) -> None:
    """Whoever is a reader stays one."""
    found = read(saved(tmp_path / "list.csv", f"email,status,unsubscribed\n{row}\n"))

    assert [who.address for who in found.joins] == ["ana@shelf.ngo"]


def test_a_service_can_be_named(tmp_path: Path) -> None:
    """Where a list does not give itself away. As only a table its name is a question, and nobody joins."""
    bare = saved(tmp_path / "unsubscribed_members_export_0e63.csv", "Email Address\nbo@shelf.ngo\n")

    assert [who.reason for who in read(bare, service="mailchimp").left] == ["left at Mailchimp"]
    assert read(bare, service="csv").joins == []
    assert [question.value for question in ReaderList(bare, service="csv").questions] == [bare.name]


# --------------------------------------------------------------------------- zips that are no lists


def test_a_zip_bomb_is_refused_unread(tmp_path: Path) -> None:
    """A table that shrank a thousand times is no list of readers."""
    with zipfile.ZipFile(tmp_path / "list.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("subscribed_members_export_1.csv", "email\n" + "\0" * 30_000_000)

    with pytest.raises(AudienceError, match="would unpack to 30,000,006 bytes; that is no list of readers"):
        ReaderList(tmp_path / "list.zip")


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table may be small enough, and all of them still too much."""
    monkeypatch.setattr(archives, "MOST_BYTES", 2_000)
    tables = {f"subscribed_{number}.csv": "email\n" + "ana@shelf.ngo\n" * 100 for number in range(3)}

    with pytest.raises(AudienceError, match="more than 2,000 bytes"):
        ReaderList(packed(tmp_path / "list.zip", tables))


def test_a_line_without_an_end_is_refused(tmp_path: Path) -> None:
    """It would fill the memory; it is looked at in pieces."""
    with zipfile.ZipFile(tmp_path / "list.zip", "w") as archive:
        archive.writestr("list.csv", "email\nana@shelf.ngo\n" + "x" * 3_000_000)
    readers = ReaderList(tmp_path / "list.zip")

    with pytest.raises(AudienceError, match="a line is longer than"):
        list(readers.signups((), ("weekly",), refuse=lambda _: None))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xl/workbook.xml", "is an Excel workbook; save the sheet as 'CSV UTF-8'"),
        ("photo.jpg", "holds no .csv file"),
    ],
)
def test_a_zip_of_something_else_is_told(tmp_path: Path, name: str, words: str) -> None:
    """With what to do."""
    with pytest.raises(AudienceError, match=words):
        ReaderList(packed(tmp_path / "list.zip", {name: "x"}))


def test_a_damaged_zip_is_told(tmp_path: Path) -> None:
    """Found out when its bytes are read; nothing was imported before."""
    file = packed(
        tmp_path / "list.zip", {"list.csv": "email\n" + "".join(f"r{n}@shelf.ngo\n" for n in range(999))}
    )
    data = bytearray(file.read_bytes())
    data[200] ^= 0xFF
    file.write_bytes(data)

    with pytest.raises(AudienceError, match=r"cannot be unpacked|not UTF-8"):
        list(ReaderList(file).signups((), ("weekly",), refuse=lambda _: None))


# --------------------------------------------------------------------------- into a workspace


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Workspace]:
    make_workspace(tmp_path / "news", sample=True)
    workspace = Workspace(tmp_path / "news")
    yield workspace
    workspace.release()


def test_a_list_is_imported_with_those_who_left(here: Workspace, tmp_path: Path) -> None:
    """Suppressed before anybody joins; the second time nothing changes, and says so."""
    file = packed(tmp_path / "audience_export.zip", MAILCHIMP_ZIP)
    again = saved(tmp_path / "list.csv", "email\nana@shelf.ngo\nbo@shelf.ngo\ncy@shelf.ngo\n")

    dry = import_readers(here, file, dry_run=True)
    first = import_readers(here, file)
    second = import_readers(here, file)
    later = import_readers(here, again)

    assert dry == first
    assert (first.added, first.left, first.left_before, first.refused) == (1, 2, 0, 0)
    assert first.not_taken == {"never agreed to a newsletter": 1}
    assert (second.added, second.unchanged, second.left, second.left_before) == (0, 1, 0, 2)
    assert (later.unchanged, later.suppressed) == (1, 2)
    ana = here.audience.find("ana@shelf.ngo")
    assert ana is not None
    assert ana.source == "import of Mailchimp, audience_export.zip"
    with pytest.raises(AudienceError, match=r"is suppressed \(left at Mailchimp\)"):
        here.audience.add("bo@shelf.ngo", "", "", ("weekly",), ana.created_at, "test")


def test_somebody_who_is_in_both_tables_left(here: Workspace, tmp_path: Path) -> None:
    """A dry run says the same as the real one."""
    tables = MAILCHIMP_ZIP | {"subscribed_email_audience_export_2b.csv": mailchimp("bo@shelf.ngo")}
    file = packed(tmp_path / "audience_export.zip", tables)

    dry = import_readers(here, file, dry_run=True)
    real = import_readers(here, file)

    assert dry == real
    assert (real.added, real.suppressed, real.left) == (1, 1, 2)
    assert here.audience.find("bo@shelf.ngo") is None


def test_a_reader_who_left_there_later_is_no_reader_any_more(here: Workspace, tmp_path: Path) -> None:
    """The newest list says who left since the last; nothing of them is kept but that."""
    import_readers(here, saved(tmp_path / "old.csv", "email\nbo@shelf.ngo\nana@shelf.ngo\n"))

    result = import_readers(here, packed(tmp_path / "audience_export.zip", MAILCHIMP_ZIP))

    assert (result.left, result.unchanged) == (2, 0)
    assert result.changed == 1  # Ana has a name now
    assert here.audience.find("bo@shelf.ngo") is None


def test_the_command_tells_whose_list_it_is(here: Workspace, tmp_path: Path) -> None:
    """What would change, who is kept away, and that a list proves no consent; a dry run changes nothing."""
    file = packed(tmp_path / "audience_export.zip", MAILCHIMP_ZIP)
    before = fingerprint(here.root)

    dry = bot("subscribers", "import", file, "--dry-run", workspace=here.root)
    unchanged = fingerprint(here.root) == before
    ran = bot("subscribers", "import", file, workspace=here.root)

    assert unchanged
    assert (dry.code, ran.code) == (0, 0)
    assert "a list from Mailchimp in 4 files (UTF-8, commas)" in dry.out
    assert "Would suppress 2 who left there; 0 were so already." in dry.out
    assert "Not taken: 1 whose row says: never agreed to a newsletter." in dry.out
    assert ran.out.rstrip().endswith("everybody on it must have agreed to get this newsletter.")


def test_many_refused_rows_are_counted_by_reason(here: Workspace, tmp_path: Path) -> None:
    """The first twenty are shown with their line; the reasons say what to mend."""
    rows = "".join(f"nobody{number}\n" for number in range(40)) + "ana@shelf.ngo\n"

    ran = bot("subscribers", "import", saved(tmp_path / "list.csv", f"email\n{rows}"), workspace=here.root)

    assert ran.code == 1
    assert ran.err.count("list.csv:") == 20
    assert "... and 20 more rows" in ran.err
    assert "40 x An email address must have an @-sign." in ran.err


def test_a_full_export_moves_a_reader_with_all_they_chose(here: Workspace, tmp_path: Path) -> None:
    """Newsletters, forms and pauses arrive in another workspace as they were."""
    elsewhere = tmp_path / "elsewhere"
    make_workspace(elsewhere, sample=True)
    file = saved(
        tmp_path / "list.csv",
        "email,name,newsletters,preferences\n"
        "ana@shelf.ngo,Ana,weekly,weekly=headlines/2027-01-01T00:00:00+00:00\nli@shelf.ngo,,weekly,\n"
        "bo@shelf.ngo,,monthly,\ndi@shelf.ngo,,weekly,weekly=upside-down\n",
    )

    first = bot("subscribers", "import", file, "--json", workspace=here.root)
    out = bot("subscribers", "export", "--full", "--to", tmp_path / "out.csv", workspace=here.root)
    bot("subscribers", "import", tmp_path / "out.csv", workspace=elsewhere)
    shown = [
        bot("subscribers", "export", "--full", "--format", "json", workspace=place).out
        for place in (here.root, elsewhere)
    ]

    told = json.loads(first.out)
    assert (told["added"], [row["line"] for row in told["refusals"]]) == (2, [4, 5])
    assert out.code == 0
    assert json.loads(shown[0]) == json.loads(shown[1])
    assert {
        "email": "ana@shelf.ngo",
        "name": "Ana",
        "language": "",
        "newsletters": ["weekly"],
        "preferences": "weekly=headlines/2027-01-01T00:00:00+00:00",
    } in json.loads(shown[0])


def test_what_would_change_is_told(here: Workspace, tmp_path: Path) -> None:
    """Names, languages and newsletters apart; a list as it is already changes nothing."""
    bot(
        "subscribers",
        "import",
        saved(tmp_path / "old.csv", "email,name\nana@shelf.ngo,Ana\nli@shelf.ngo,Li\n"),
        workspace=here.root,
    )
    new = saved(tmp_path / "new.csv", "email,name,lang\nana@shelf.ngo,Anna,pt\nli@shelf.ngo,Li,th\n")

    dry = bot("subscribers", "import", new, "--dry-run", workspace=here.root)
    ran = bot("subscribers", "import", new, workspace=here.root)
    again = bot("subscribers", "import", new, workspace=here.root)

    assert "Would add 0 readers, changed 2 (name of 1, language of 2), unchanged 0" in dry.out
    assert "Added 0 readers, changed 2 (name of 1, language of 2), unchanged 0" in ran.out
    assert "Added 0 readers, changed 0, unchanged 2" in again.out
    assert "must have agreed" not in again.out


# --------------------------------------------------------------------------- long lists, and bad ends

KILLED = """
import sys, time
from pathlib import Path
from bot.app.readers import import_readers
from bot.app.workspace import Workspace
def tell(place):
    if place.rows >= 20_000:
        print("now", flush=True)
        time.sleep(600)  # it is killed here, however late
import_readers(Workspace(Path(sys.argv[1])), Path(sys.argv[2]), tell=tell)
"""


def long_list(path: Path, count: int) -> Path:
    """Every tenth of them left."""
    rows = (f"r{n}@shelf.ngo,Reader {n},{'unsubscribed' if n % 10 == 0 else ''}\n" for n in range(count))
    return saved(path, "email,name,status\n" + "".join(rows))


@pytest.fixture
def there(tmp_path: Path, store_url: str) -> Iterator[Workspace]:
    """A workspace on either database."""
    make_workspace(tmp_path / "there", sample=True)
    with (tmp_path / "there" / ".env").open("a") as file:
        file.write(f"\nBOT_DATABASE_URL={store_url}\n")
    workspace = Workspace(tmp_path / "there")
    yield workspace
    workspace.release()


def test_a_killed_import_leaves_nothing(there: Workspace, tmp_path: Path) -> None:
    """SIGKILL in the middle: nobody joined, nobody is suppressed; the next one does it all."""
    file = long_list(tmp_path / "list.csv", 60_000)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(there.root), str(file)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"now\n"
        child.kill()

    found = there.audience.count("weekly")
    result = import_readers(there, file)

    assert found == 0
    assert (result.added, result.left, result.left_before) == (54_000, 6_000, 0)


@pytest.mark.parametrize("kind", ["csv", "zip"])
def test_the_same_list_again_writes_nothing(here: Workspace, tmp_path: Path, kind: str) -> None:
    """Not one byte of the database: readers, people who left and preferences are there already."""
    titles = "email,name,status,preferences\n"
    text = titles + "".join(
        f"r{n}@shelf.ngo,R,{'' if n % 10 else 'unsubscribed'},{'' if n % 7 else 'weekly=plain'}\n"
        for n in range(5_000)
    )
    name = f"list.{kind}"
    file = saved(tmp_path / name, text) if kind == "csv" else packed(tmp_path / name, {"list.csv": text})
    import_readers(here, file)
    here.release()
    before = contents(here)

    again = Workspace(here.root)
    result = import_readers(again, file)
    again.release()

    assert (result.added, result.changed, result.unchanged, result.left) == (0, 0, 4_500, 0)
    assert contents(here) == before


def contents(here: Workspace) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in here.state_folder.glob("ledger*") if path.stat().st_size}


PEAK = """
import resource, sys
from pathlib import Path
from bot.app.readers import import_readers
from bot.app.workspace import Workspace
result = import_readers(Workspace(Path(sys.argv[1])), Path(sys.argv[2]), dry_run=len(sys.argv) > 3)
assert result.added, result
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("dry",)], ids=["real", "dry"])
def test_memory_does_not_grow_with_the_list(tmp_path: Path, how: tuple[str, ...]) -> None:
    """Zipped, with people who left: 200,000 rows need at most 32 MiB more than 2,000."""

    def peak(count: int) -> int:
        place = tmp_path / str(count)
        make_workspace(place, sample=True)
        text = long_list(place / "list.csv", count).read_text()
        file = packed(place / "list.zip", {"list.csv": text})
        if how:
            subprocess.run(
                [sys.executable, "-m", "bot", "-w", str(place), "status"],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        command = [sys.executable, "-c", PEAK, str(place), str(file), *how]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert peak(200_000) - peak(2_000) < 32 * 1024
