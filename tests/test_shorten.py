"""Where a text may end early."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.rendering.shorten import ELLIPSIS, at_sentences, at_words, graphemes, sentence_ends

PIECES = (
    *("The law passed. ", "Why? ", "See No. 105, the U.S. text. ", "(It is long. Very long.) ", "3.14 "),
    *("第一句。", "「好。」", "यह सच है। ", "هل هذا؟ ", "ที่ พ.ศ. ๒๕๕๑ ", "ရှိသည်။", "ལ་སྣང་། ", "ሰው፡ሁሉ። "),
    *(
        "👨‍👩‍👧‍👦",
        "🇹🇭",
        "Ha\u0300 No\u0323\u0302i ",
        "… ",
        "\u0600(",
        "e\u0301",
        "https://example.org/a_(b) ",
    ),
)
texts = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=60),
)


def sentences(text: str, lang: str = "en") -> list[str]:
    ends = sentence_ends(text, lang)
    return [text[begin:end].strip() for begin, end in zip((0, *ends), ends, strict=False)]


@pytest.mark.parametrize(
    ("lang", "parts"),
    [
        ("en", ["It is law.", "Is it?", "It is!", "Yes"]),
        ("en", ["Convention No. 105 binds the U.S. and Dr. Smith.", "It rose 3.14 per cent."]),
        ("en", ["In B.E. 2551 a law (see p. 4) began.", "So J. Bowe wrote, e.g. In 1990."]),
        ("en", ["He said “no.”", "(See above. It is long.)", "Done."]),
        ("en", ["They waited… and waited.", "Then…", "Nothing."]),
        ("en", ["Yahoo! says that legislation.gov.uk is right.", "See it."]),
        ("en", ["1. Read it first.", "Then the rest."]),
        ("de", ["Am 3. Oktober galt es noch nicht.", "Heute z. B. Dr. Meier zufolge schon."]),
        ("fr", ["Vraiment ?", "Oui, M. Dupont l’a dit !", "« C’est vrai. »", "Bien."]),
        ("es", ["¿Qué se logró?", "¡Mucho!", "El Sr. Paz lo sabe."]),
        ("el", ["Τι είναι;", "Είναι νόμος."]),
        ("zh", ["第一句。", "第二句！", "「第三句。」", "第四句"]),
        ("ja", ["これは法律です。", "本当？", "はい。"]),
        ("hi", ["यह कानून है।", "यह सच है।"]),
        ("ar", ["هل هذا صحيح؟", "نعم، صحيح.", "انتهى"]),
        ("ur", ["یہ قانون ہے۔", "سچ ہے؟"]),
        ("my", ["ဥပဒေ၊ ဖြစ်သည်။", "မှန်သည်။"]),
        ("km", ["នេះជាច្បាប់។", "ពិតមែន។"]),
        ("am", ["ሰው፡ሁሉ፡ነጻ፡ነው።", "እኩል፡ነው።"]),
        ("hy", ["Սա օրենք է։", "Այո։"]),
        ("bo", ["མི་རུང་།", "ཐོབ་ཐང་།"]),
        ("th", ["กฎหมาย พ.ศ. ๒๕๕๑ มีผลใช้ ห้ามเผยแพร่"]),
    ],
)
def test_sentences_end_where_an_editor_would_end_them(lang, parts):
    """Marks of many scripts; abbreviations, numbers and ordinals are no ends."""
    text = ("" if lang in {"zh", "ja"} else " ").join(parts)

    found = sentences(text, lang)

    assert found == parts


def test_an_empty_text_has_no_sentence():
    """Nothing to end."""
    assert sentence_ends("") == ()
    assert list(at_sentences("")) == []
    assert list(at_words("")) == []


def test_no_sentence_ends_inside_a_grapheme():
    """A mark with a variation selector or an accent is one character."""
    assert sentences("第一。\ufe00第二。第三", "zh") == ["第一。\ufe00第二。", "第三"]


def test_a_text_is_shortened_sentence_by_sentence():
    """Longest first, without the whole text."""
    assert list(at_sentences("One. Two. Three.")) == ["One. Two.", "One."]


def test_a_text_is_cut_between_words():
    """With an ellipsis, and no comma or bracket before it."""
    cuts = at_words("Three lists (of names), read aloud", least=12)

    assert list(cuts)[:3] == ["Three lists (of names), read…", "Three lists (of names)…", "Three lists (of…"]


def test_thai_is_cut_at_a_space_and_never_after_a_leading_vowel():
    """A space parts phrases; "แ" belongs to what follows."""
    cuts = list(at_words("กฎหมายใหม่คุ้มครองทุกเพศ ครอบคลุมแรงงาน"))

    assert cuts[0] == "กฎหมายใหม่คุ้มครองทุกเพศ…"
    assert not [cut for cut in cuts if cut[-2] in "เแโใไ"]


def test_a_long_word_and_chinese_are_cut_between_graphemes():
    """Rather than losing nearly everything."""
    assert at_words("在任何一天约有四千九百六十万人")[0] == "在任何一天约有四千九百六十万…"
    assert at_words("👨‍👩‍👧‍👦👩🏽‍🎨🇹🇭")[0] == "👨‍👩‍👧‍👦👩🏽‍🎨…"


def test_a_link_is_never_cut_nor_touched_by_the_ellipsis():
    """A part of a link leads elsewhere; an ellipsis would become a part of it."""
    cuts = list(at_words("Read https://example.org/a-long/path now or later"))

    assert cuts == [
        "Read https://example.org/a-long/path now or…",
        "Read https://example.org/a-long/path now…",
        "Read…",
        "Rea…",
        "Re…",
        "R…",
    ]


@settings(deadline=None)
@given(texts, st.sampled_from(["en", "th", "de", "ar", "zh-Hant", "el"]))
def test_every_cut_keeps_whole_graphemes_and_gets_shorter(text, lang):
    """For any text: a prefix of its graphemes, each shorter than the one before."""
    whole = ["".join(graphemes(text)[:count]) for count in range(len(graphemes(text)))]

    by_sentence, by_word = list(at_sentences(text, lang)), list(at_words(text))

    assert all(cut in whole for cut in by_sentence)
    assert all(cut.removesuffix(ELLIPSIS) in whole and cut.endswith(ELLIPSIS) for cut in by_word)
    for cuts in (by_sentence, by_word):
        assert cuts == sorted(set(cuts), key=len, reverse=True)


@settings(deadline=None)
@given(texts, st.integers(1, 20))
def test_no_cut_is_shorter_than_asked(text, least):
    """``least`` counts graphemes, up to the last whole word before."""
    cuts = at_words(text, least=least)

    assert all(2 * len(cut) >= least for cut in cuts)
