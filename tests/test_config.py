"""bot.toml, .env and the environment become settings, or one clear sentence."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from bot.channels.registry import channel_names, channel_type
from bot.config import Settings, load_settings
from bot.errors import ConfigError
from bot.pace import Guard, PaceRules, Quota, Ramp

ROOT = Path(__file__).parent.parent

PLAIN = """
[publication]
title = "The Shelf"
timezone = "Asia/Bangkok"

[newsletters.weekly]
channel = "mail"
slots = ["Fri 09:00"]
sender = "The Shelf <weekly@news.example.org>"

[channels.mail]
type = "email"
host = "localhost"
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "bot.toml").write_text(PLAIN)
    return tmp_path


def change(workspace: Path, old: str, new: str) -> None:
    file = workspace / "bot.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def problem(workspace: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(workspace)
    return str(caught.value).replace(f"{workspace}/", "")


def test_a_plain_file_is_enough(workspace: Path) -> None:
    """Everything else has a default, and the default rehearses."""
    settings = load_settings(workspace)

    newsletter = settings.mailings[0]
    assert settings.mode == "rehearsal"
    assert (newsletter.title, newsletter.list_id) == ("The Shelf", "weekly.news.example.org")
    assert newsletter.max_lateness == timedelta(hours=6)


def test_the_shipped_settings_are_good() -> None:
    """What a newcomer gets works as it is."""
    settings = load_settings(ROOT)

    assert [m.name for m in settings.mailings] == ["weekly"]
    assert {p.channel for p in settings.postings} == {"mastodon", "telegram"}


def test_several_newsletters_and_accounts_of_one_type(workspace: Path) -> None:
    """One newsletter per language and two accounts on the same service are ordinary."""
    with (workspace / "bot.toml").open("a") as file:
        file.write(
            '[newsletters.semanal]\nchannel = "mail"\nlanguage = "es"\nlanguages = ["es"]\n'
            'slots = ["Fri 10:00"]\nsender = "semanal@news.example.org"\n'
            '[channels.one]\ntype = "mastodon"\nslots = ["daily 08:00"]\n'
            '[channels.two]\ntype = "mastodon"\nslots = ["daily 09:00"]\nlanguages = ["th"]\n'
        )

    settings = load_settings(workspace)

    assert [m.lang for m in settings.mailings] == ["en", "es"]
    assert [(p.channel, p.kind, p.langs) for p in settings.postings] == [
        ("one", "mastodon", ()),
        ("two", "mastodon", ("th",)),
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "The Shelf"', "", "bot.toml: publication.title: is missing"),
        (
            'title = "The Shelf"',
            'title = "The Shelf"\nsite_url = "https://news.example.org/?a=1"',
            "publication.site_url: 'https://news.example.org/?a=1' holds '?'",
        ),
        ("timezone", "timezon", "bot.toml: publication.timezon: is not a setting; did you mean 'timezone'?"),
        ("Asia/Bangkok", "Asia/Bankok", "no time zone called 'Asia/Bankok'; did you mean 'Asia/Bangkok'?"),
        (
            "weekly@news.example.org",
            "weekly@",
            "newsletters.weekly.sender: 'The Shelf <weekly@>' is not a mail",
        ),
        ('channel = "mail"', 'channel = "post"', "there is no [channels.post]; channels here: mail"),
        ('type = "email"', "", "channels.mail.type: is missing; every [channels.mail] in bot.toml names"),
        ("[channels.mail]", "[channels.Mail]", "the name 'Mail' may hold only a-z, 0-9 and _"),
        (
            "[publication]",
            "[pubication]",
            "bot.toml: pubication: is not a setting; did you mean 'publication'?",
        ),
        ("[publication]", "[publication", "bot.toml: is not valid TOML"),
        (
            "[publication]",
            'mode = "love"\n[publication]',
            "bot.toml: mode: Input should be 'rehearsal' or 'live'",
        ),
        ("The Shelf <weekly", "The\\nShelf <weekly", "holds a line break or another control character"),
        (
            "slots",
            'max_lateness = "6 hrs"\nslots',
            "'6 hrs' is not a length of time; write '30m', '6h' or '2d'",
        ),
        ("slots", "min_items = 0\nslots", "newsletters.weekly.min_items: Input should be greater than"),
        ("slots", "min_items = 9\nmax_items = 3\nslots", "min_items: is greater than max_items"),
        (
            "[channels.mail]",
            '[channels.weekly]\ntype = "email"\n[channels.mail]',
            "a channel has the same name",
        ),
        (
            'host = "localhost"',
            "pace = { per_secnd = 14 }",
            "channels.mail.pace.per_secnd: is not a setting; did you mean 'per_second'?",
        ),
        (
            'host = "localhost"',
            "pace = { per_hour = 0 }",
            "channels.mail.pace: per_hour must be more than 0; leave it out for no limit",
        ),
        (
            'host = "localhost"',
            'pace = { per_second = "many" }',
            "channels.mail.pace.per_second: Input should be a valid number",
        ),
        (
            'host = "localhost"',
            "pace = { ramp = { first_day = 200, factor = 1 } }",
            "channels.mail.pace.ramp: factor must be more than 1",
        ),
        (
            'host = "localhost"',
            "pace = { ramp = { frist_day = 200 } }",
            "channels.mail.pace.ramp.frist_day: is not a setting; did you mean 'first_day'?",
        ),
        (
            'host = "localhost"',
            'pace = { domains = { "Gmail.com" = { per_second = 20 } } }',
            "channels.mail.pace: 'Gmail.com' is not a domain as mail servers know it; write 'gmail.com'",
        ),
        (
            'host = "localhost"',
            'pace = { domains = { "gmail.com" = { per_minute = 20 } } }',
            "mail.pace.domains.gmail.com.per_minute: is not a setting; settings here: burst, per_day",
        ),
    ],
)
def test_a_mistake_is_told_with_file_key_and_what_would_be_right(
    workspace: Path, old: str, new: str, said: str
) -> None:
    """A wrong key, zone, address or duration: one line that says where and what to do."""
    change(workspace, old, new)

    assert said in problem(workspace)


def test_every_channel_may_have_a_pace(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None by default; from the file and from the environment."""
    assert load_settings(workspace).channels["mail"].pace.is_unlimited

    with (workspace / "bot.toml").open("a") as file:
        file.write(
            "[channels.mail.pace]\nper_second = 14\nper_day = 50_000\n"
            "ramp = { first_day = 200, factor = 1.5, until = 50_000 }\n"
            'domains = { "gmail.com" = { per_second = 2 }, "*" = { per_hour = 1000 } }\n'
            "pause = { refused = 0.02 }\n"
        )
    monkeypatch.setenv("BOT_CHANNELS__MAIL__PACE__BURST", "3")
    rules = load_settings(workspace).channels["mail"].pace

    assert (rules.per_second, rules.per_day, rules.burst) == (14, 50_000, 3)
    assert rules.ramp == Ramp(first_day=200, factor=1.5, until=50_000)
    assert rules.quota_for("gmail.com") == Quota(per_second=2)
    assert rules.quota_for("web.de") == Quota(per_hour=1000)
    assert (rules.pause.refused, rules.pause.of) == (0.02, 500)


def test_the_pace_in_the_handbook_is_right(workspace: Path) -> None:
    """What docs/operators.md shows can be copied."""
    example = re.findall(
        r"(?s)```toml\n(\[channels\.mail\.pace\].*?)```", (ROOT / "docs/operators.md").read_text()
    )
    with (workspace / "bot.toml").open("a") as file:
        file.write(example[0])

    rules = load_settings(workspace).channels["mail"].pace

    assert (rules.per_hour, rules.ramp, rules.pause) == (5_000, Ramp(), Guard())


def test_what_a_windows_editor_saves_is_read(workspace: Path) -> None:
    """A byte order mark does no harm, and one slot needs no brackets."""
    change(workspace, '["Fri 09:00"]', '"Fri 09:00"')
    text = (workspace / "bot.toml").read_text()
    (workspace / "bot.toml").write_bytes(text.encode("utf-8-sig"))
    (workspace / ".env").write_bytes("BOT_MODE=rehearsal\n".encode("utf-8-sig"))

    assert load_settings(workspace).mailings[0].slots == ("Fri 09:00",)


def test_no_settings_at_all(tmp_path: Path) -> None:
    """A folder that is no workspace is told how to become one."""
    assert "not found; make a workspace with 'bot init DIR'" in problem(tmp_path)


def test_the_environment_wins_over_dotenv_and_dotenv_over_the_file(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Precedence: environment, .env, bot.toml; an empty value counts as not given."""
    (workspace / ".env").write_text("BOT_CHANNELS__MAIL__HOST=from-dotenv\nBOT_CHANNELS__MAIL__PORT=\n")
    assert load_settings(workspace).channels["mail"].options == {"host": "from-dotenv"}

    monkeypatch.setenv("BOT_CHANNELS__MAIL__HOST", "from-environment")
    assert load_settings(workspace).channels["mail"].options["host"] == "from-environment"


def test_a_mistake_in_the_environment_names_the_variable(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person is sent to where the value was written."""
    monkeypatch.setenv("BOT_MODE", "love")

    assert problem(workspace).startswith("environment variable BOT_MODE: mode: ")


def test_a_misspelt_name_in_dotenv_is_told(workspace: Path) -> None:
    """A secret under a wrong name would otherwise be silently without effect."""
    (workspace / ".env").write_text("BOT_SECRT_KEY=x\n")

    assert problem(workspace) == ".env: BOT_SECRT_KEY: is not a setting; did you mean 'secret_key'?"


def test_live_needs_a_key_an_address_and_a_site(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live mode is refused until what every mail must carry is there."""
    change(workspace, "[publication]", 'mode = "live"\n[publication]')
    assert "BOT_SECRET_KEY: is missing or shorter than 32 characters" in problem(workspace)

    monkeypatch.setenv("BOT_SECRET_KEY", "k" * 32)
    assert "publication.postal_address: is empty" in problem(workspace)

    change(workspace, "timezone", 'postal_address = "1 Street"\ntimezone')
    assert "news.example.org is a name for examples" in problem(workspace)

    change(workspace, "timezone", 'site_url = "https://shelf.ngo/"\ntimezone')
    assert load_settings(workspace).publication.site_url == "https://shelf.ngo"


def test_secrets_are_never_printed(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr nor str of the settings shows a password, a token or a key."""
    for name in ("SECRET_KEY", "CHANNELS__MAIL__PASSWORD", "DATABASE_URL"):
        monkeypatch.setenv(f"BOT_{name}", f"hush-{name}-aaaaaaaaaaaaaaaaaaaaaaaaaaaa")

    settings = load_settings(workspace)

    assert "hush" not in repr(settings) + str(settings) + repr(settings.channels)
    assert settings.channels["mail"].options["password"].startswith("hush")


def test_the_example_lists_every_setting_of_the_environment() -> None:
    """.env.example and the program agree, in both directions: secrets, switches, and their defaults."""
    listed = dict(re.findall(r"(?m)^(BOT_\w+)=(.*)$", (ROOT / ".env.example").read_text()))
    shipped = load_settings(ROOT)
    expected = {
        "BOT_MODE",
        "BOT_SECRET_KEY",
        "BOT_OLD_SECRET_KEYS",
        "BOT_DATABASE_URL",
        "BOT_BOUNCES__PASSWORD",
    }
    for name, table in shipped.channels.items():
        kind = channel_type(table.type)
        assert kind is not None
        expected |= {f"BOT_CHANNELS__{name}__{secret}".upper() for secret in kind.options.secrets()}

    assert set(listed) == expected
    assert Settings.model_fields["mode"].default == "rehearsal"
    assert set(listed.values()) == {"", "[]"}


def test_every_type_of_channel_is_found_by_its_folder() -> None:
    """The registry needs no list: a module in the folder is a type."""
    assert channel_names() == ("email", "mastodon", "telegram")
    assert channel_type("carrier-pigeon") is None


def test_channels_that_name_one_account_share_its_limits(workspace: Path) -> None:
    """Whichever of them writes the limits; a channel's own name is an account, too."""
    with (workspace / "bot.toml").open("a") as file:
        file.write(
            '[channels.mail.pace]\naccount = "ses"\n'
            '[channels.second]\ntype = "email"\npace = { account = "ses", per_second = 14 }\n'
            '[channels.third]\ntype = "email"\npace = { account = "second", per_hour = 5 }\n'
            '[channels.alone]\ntype = "email"\n'
        )

    settings = load_settings(workspace)

    assert settings.pace_of("mail") == settings.pace_of("second") == PaceRules(account="ses", per_second=14)
    assert settings.pace_of("third") == PaceRules(account="second", per_hour=5)
    assert settings.pace_of("alone") == PaceRules(account="alone")
    assert set(settings.paces) == {"ses", "second", "alone"}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (
            ('account = "ses"\nper_second = 14', 'account = "ses"\nper_second = 15'),
            "channels.second.pace: has other limits than [channels.mail.pace], and both go by the account "
            "'ses'; write them in one of the two, and only the account in the other",
        ),
        (("per_second = 14", 'account = "mail"\nper_hour = 9'), "both go by the account 'mail'"),
        (('account = "Amazon SES"', ""), "channels.mail.pace: the account 'Amazon SES' may hold only a-z"),
        (('account = "weekly"', ""), "newsletters.weekly: an account of the pace has the same name"),
    ],
)
def test_limits_of_one_account_that_contradict_each_other_are_told(
    workspace: Path, limits: tuple[str, str], said: str
) -> None:
    with (workspace / "bot.toml").open("a") as file:
        for name, table in zip(("mail", "second"), limits, strict=True):
            file.write(f'[channels.{name}]\ntype = "email"\n' if name == "second" else "")
            file.write(f"[channels.{name}.pace]\n{table}\n")

    assert said in problem(workspace)


def test_the_same_limits_may_stand_in_both(workspace: Path) -> None:
    with (workspace / "bot.toml").open("a") as file:
        file.write(
            '[channels.mail.pace]\nper_second = 14\n[channels.second]\ntype = "email"\n'
            'pace = { account = "mail", per_second = 14 }\n'
        )

    assert load_settings(workspace).pace_of("second") == PaceRules(account="mail", per_second=14)
