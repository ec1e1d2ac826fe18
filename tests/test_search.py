"""Finding words in seven languages: what counts as the same, what is found, in which order."""

from __future__ import annotations

import json

import pytest

from bot.rendering.search import Document, Index, entries, same, terms


def document(name: str, title: str, text: str = "") -> Document:
    return Document(path=f"/items/{name}", title=title, lang="en", dir="ltr", source="", day="", text=text)


def found(question: str, *documents: Document) -> list[str]:
    return [each.path.removeprefix("/items/") for each in Index(documents).find(question)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("São Paulo", "Sa\u0303o paulo"),
        ("Hà Nội", "ha noi"),
        ("STRASSE", "straße"),
        ("Œuvre", "oeuvre"),
        ("İstanbul", "istanbul"),
        ("ΟΔΟΣ", "οδος"),
        ("مُكافَحة", "مكافحه"),
        ("إدارة أمن آخر", "اداره امن اخر"),
        ("على", "علي"),
        ("کتاب", "كتاب"),
        ("مـــصر", "مصر"),
        ("٣٠ تموز", "30 تموز"),
        ("พ.ศ. ๒๕๕๑", "พ.ศ. 2551"),
        ("ｶﾀｶﾅ", "カタカナ"),
        ("co\u00adoperation", "cooperation"),
        ("می\u200cخواهم", "میخواهم"),
        ("שָׁלוֹם", "שלום"),
    ],
)
def test_two_ways_to_write_it_are_the_same(one: str, other: str) -> None:
    """Case, accents, vowel signs, digits, compatibility forms, invisible joiners."""
    assert same(one) == same(other)


@pytest.mark.parametrize(("one", "other"), [("กา", "กี"), ("が", "か゚"), ("किताब", "कताब")])
def test_vowels_of_scripts_that_need_them_stay(one: str, other: str) -> None:
    assert same(one) != same(other)


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("traffick", "Human trafficking in ports"),
        ("port human", "Human trafficking in ports"),
        ("اتجار", "اليوم العالمي لمكافحة الاتجار بالأشخاص"),
        ("بالاتجار", "مكافحة الاتجار"),
        ("الأشخاص", "الاتجار بالأشخاص"),
        ("ค้ามนุษย์", "พระราชบัญญัติป้องกันและปราบปรามการค้ามนุษย์"),
        ("คน", "คนหนึ่ง"),
        ("売買", "人身売買の防止"),
        ("買", "人身売買の防止"),
        ("인신매매", "인신매매를 막다"),
        ("l'esclavage", "De l’esclavage moderne"),
    ],
)
def test_it_is_found(question: str, title: str) -> None:
    """By the beginning of a word, with the Arabic article or without, within a run of Thai or Chinese."""
    assert found(question, document("a", title), document("b", "zzz")) == ["a"]


@pytest.mark.parametrize(
    ("question", "title"),
    [("raffick", "trafficking"), ("port zebra", "ports"), ("มนุษย์", "คนหนึ่ง"), ("", "a"), ("…!", "a")],
)
def test_it_is_not_found(question: str, title: str) -> None:
    assert found(question, document("a", title)) == []


def test_headlines_come_first_then_the_newest() -> None:
    """Documents are given newest first."""
    documents = (document("new", "Boats", "ports"), document("mid", "Ports"), document("old", "Ports again"))

    assert found("ports", *documents) == ["mid", "old", "new"]


def test_the_index_for_the_browser_holds_what_ours_does() -> None:
    """Entries with steps in base 36; the rules come along."""
    index = Index([document(str(n), "ports" if n % 40 == 0 else "boats") for n in range(90)])
    loaded = json.loads(index.to_json(lambda path: f"..{path}"))
    here, numbers = 0, []
    for step in loaded["entries"]["ports"].split():
        here += int(step, 36)
        numbers.append(here)

    assert numbers == list(index.places["ports"]) == [0, 40, 80]
    assert loaded["documents"][40][0] == "../items/40"
    assert loaded["rules"]["longest"] == 40


def test_a_long_question_is_cut() -> None:
    """Nobody can make the server work for minutes."""
    assert len(terms(" ".join(f"w{n}" for n in range(5000)))) == 20
    assert max(map(len, entries("x" * 5000))) == 40
