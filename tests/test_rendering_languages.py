"""Languages: which way they run, their dates, and the house's own words."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from bot.errors import TemplateError
from bot.rendering.languages import counted, direction, fill, long_date, strings

SHIPPED = Path(__file__).parent.parent / "templates"
RTL = """
    ar arb ar-EG fa pes prs he ur ps pbu pnb sd ug uig yi dv div ckb ks
    syr nqo azb pa-PK ku-Arab ff-Adlm
""".split()  # noqa: SIM905
LTR = "en en-GB th my km hi pa az ug-KZ he-Latn zh-Hant xx ku tr so sw".split()  # noqa: SIM905


@pytest.mark.parametrize("lang", RTL)
def test_written_from_right_to_left(lang: str) -> None:
    """By language, by a country where another script is used, or by the script that is named."""
    assert direction(lang) == "rtl"


@pytest.mark.parametrize("lang", LTR)
def test_written_from_left_to_right(lang: str) -> None:
    """Also a right-to-left language in a left-to-right script, and a language nobody knows."""
    assert direction(lang) == "ltr"


@pytest.mark.parametrize(
    ("lang", "expected"),
    [
        ("en", "27 November 2026"),
        ("en-US", "November 27, 2026"),
        ("es", "27 de noviembre de 2026"),
        ("ar", "27 نوفمبر 2026"),
        ("arb", "27 نوفمبر 2026"),
        ("xx", "2026-11-27"),
        ("not a tag", "2026-11-27"),
    ],
)
def test_dates_are_in_words(lang: str, expected: str) -> None:
    """Where the language is unknown, an ISO date says it."""
    assert long_date(date(2026, 11, 27), lang) == expected


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("strings/*.toml")), ids=lambda path: path.stem)
def test_every_shipped_language_has_every_word(path: Path) -> None:
    """With the same places to fill in; plural forms follow the language, so only their stems are compared."""

    def words(lang: str) -> dict[str, str]:
        lines = (SHIPPED / "strings" / f"{lang}.toml").read_text(encoding="utf-8").splitlines()
        pairs = (line.split(" = ", 1) for line in lines if not line.startswith("#"))
        counted = ("items_", "more_books_", "site_found_")
        return {key: value for key, value in pairs if not key.startswith(counted)}

    english, other = words("en"), words(path.stem)

    assert other.keys() == english.keys()
    for key, value in english.items():
        assert {p for p in ("{title}", "{items}", "{date}", "{number}", "{source}") if p in value} == {
            p for p in ("{title}", "{items}", "{date}", "{number}", "{source}") if p in other[key]
        }, key


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("strings/*.toml")), ids=lambda path: path.stem)
def test_why_a_mail_comes_is_true_for_imported_readers_too(path: Path) -> None:
    """They may never have confirmed anything here."""
    reason = strings(path.stem, [SHIPPED])["reason"].casefold()

    assert not [word for word in ("confirm", "bestätig", "تأكيد", "ยืนยัน") if word in reason]


def test_an_unknown_language_speaks_english_and_says_so() -> None:
    """A template can mark the words' own language and direction."""
    words = strings("km", [SHIPPED])

    assert words["contents"] == "In this issue"
    assert (words["lang"], words["dir"]) == ("en", "ltr")


def test_a_regional_form_uses_its_language() -> None:
    """Mexican Spanish reads the Spanish words, Standard Arabic by its ISO 639-3 name the Arabic ones."""
    assert strings("es-MX", [SHIPPED])["contents"] == "En este número"
    assert strings("arb", [SHIPPED])["dir"] == "rtl"


@pytest.mark.parametrize(
    ("lang", "count", "expected"),
    [
        ("en", 1, "1 item"),
        ("en", 6, "6 items"),
        ("ar", 2, "مادتان"),
        ("ar", 6, "6 مواد"),
        ("th", 6, "6 เรื่อง"),
    ],
)
def test_plural_forms_follow_the_language(lang: str, count: int, expected: str) -> None:
    """Arabic has six of them, Thai one."""
    assert counted(strings(lang, [SHIPPED]), "items", count) == expected


def test_filling_leaves_other_braces_alone() -> None:
    """A title may hold braces of its own."""
    assert fill("{title} {x}", title="{date}") == "{date} {x}"


def test_a_word_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """With its file and what is wrong."""
    path = tmp_path / "strings" / "en.toml"
    path.parent.mkdir()
    path.write_text("contents = 5\n")

    with pytest.raises(TemplateError, match=r"en\.toml: 'contents' is not text"):
        strings("en", [tmp_path])
