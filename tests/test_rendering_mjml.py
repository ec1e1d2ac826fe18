"""MJML: what goes in comes out unharmed, and what is wrong is told with its line."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from bot.errors import TemplateError
from bot.rendering.mjml import MAX_DEPTH, compile_mjml, lint, without_jinja

PATH = Path("templates/email/issue.mjml")


def document(inside: str) -> str:
    section = f"<mj-section><mj-column>{inside}</mj-column></mj-section>"
    return f'<mjml lang="en" dir="ltr"><mj-body>{section}</mj-body></mjml>'


class Found(HTMLParser):
    """The attributes of all tags and the text of <b>."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = False
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag == "b"

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "b"

    def handle_data(self, data: str) -> None:
        self.text += data if self.inside else ""


def is_kept(char: str) -> bool:
    """What a story may hold after cleaning: no controls but newline and tab, no surrogates, no nonchars."""
    return char in "\n\t" or (unicodedata.category(char) not in ("Cc", "Cs") and ord(char) & 0xFFFE != 0xFFFE)


WORDS = st.text(st.characters(codec="utf-8").filter(is_kept), max_size=40)


@settings(max_examples=500, deadline=None)
@given(words=WORDS)
@example(
    words="สวัสดี မြန်မာ ខ្មែរ हिन्दी தமிழ் مَرْحَبًا שָׁלוֹם می‌خواهم 👩🏽‍🎨 🏳️‍🌈"
    " \u00a0\u00ad\u200f\\n C:\\new \"q\" 'a' & <b>"
)
@example(words="&#233; &amp; &nbsp; &bogus; {{ x }} ]]> --> </mj-text>")
@example(words="\ufdd0unsubscribe_token\ufdd1")
def test_any_words_come_out_as_they_went_in(words: str) -> None:
    """In alt, title, href and text: four places times five hundred random strings."""
    value = escape(words)
    source = document(
        f'<mj-image src="x" alt="{value}" title="{value}" href="https://e.org/?{value}" />'
        f'<mj-button href="https://e.org/{value}"><b>{value}</b></mj-button>'
    )

    found = Found(compile_mjml(source, path=PATH))

    image = next(attributes for tag, attributes in found.tags if tag == "img")
    links = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    assert (image["alt"], image["title"]) == (words, words)
    assert links == [f"https://e.org/?{words}", f"https://e.org/{words}"]
    assert " ".join(found.text.split()) == " ".join(words.split())


def test_a_quote_in_single_quotes_does_not_break_out() -> None:
    """mrml copies it; we write every attribute in double quotes."""
    compiled = compile_mjml(document("""<mj-image src='x' alt='a "b" onload="y' />"""), path=PATH)

    assert 'alt="a &quot;b&quot; onload=&quot;y"' in compiled


def test_a_picture_without_description_gets_an_empty_one() -> None:
    """Else a screen reader reads out the file's name."""
    assert 'alt=""' in compile_mjml(document('<mj-image src="x" />'), path=PATH)


def test_nothing_is_fetched_for_a_well_known_font() -> None:
    """MJML would link to a font service."""
    compiled = compile_mjml(document('<mj-text font-family="Roboto, Open Sans">x</mj-text>'), path=PATH)

    assert "fonts.google" not in compiled


def test_comments_for_outlook_survive() -> None:
    """Its table cells hang on them."""
    assert compile_mjml(document("<mj-text>x</mj-text>"), path=PATH).count("<!--[if") >= 4


@pytest.mark.parametrize(
    ("source", "line", "rule"),
    [
        (document("\n<mj-txt>x</mj-txt>"), 2, "mjml.unknown"),
        (document('\n\n<mj-text colour="red">x</mj-text>'), 3, "mjml.attribute"),
        (document('\n<mj-text align="middle">x</mj-text>'), 2, "mjml.value"),
        (document('\n<mj-text align="left" align="right">x</mj-text>'), 2, "mjml.twice"),
        ("<mjml>\n<mj-body>\n<mj-text>x</mj-text></mj-body></mjml>", 3, "mjml.misplaced"),
        (document("\n<div>x</div>"), 2, "mjml.misplaced"),
        (document("<mj-text>\n<p>x</mj-text>"), 2, "mjml.unclosed"),
        (document("<mj-text>x\n</b></mj-text>"), 2, "mjml.stray"),
        (document("<mj-text>x\n\n1 < 2</mj-text>"), 3, "mjml.bare"),
        ("<mjml><mj-body>\nwords</mj-body></mjml>", 2, "mjml.text"),
        ('<mjml>\n<mj-include path="x" /></mjml>', 2, "mjml.unknown"),
        ("<mjml>\n<mj-body>", 1, "mjml.unclosed"),
    ],
)
def test_every_fault_has_its_line(source: str, line: int, rule: str) -> None:
    """The compiler itself would pass most of them on into the mail in silence."""
    found = lint(source, PATH)

    assert (found[0].rule, found[0].line) == (rule, line)
    with pytest.raises(TemplateError, match=rf"issue\.mjml:{line}: "):
        compile_mjml(source, path=PATH)


def test_deep_nesting_is_an_error_and_not_the_end_of_the_process() -> None:
    """mrml would crash; lists of lists are refused long before."""
    deep = "<div>" * 20_000 + "</div>" * 20_000

    with pytest.raises(TemplateError, match=f"more than {MAX_DEPTH} tags inside each other"):
        compile_mjml(document(f"<mj-text>{deep}</mj-text>"), path=PATH)


@pytest.mark.parametrize("source", ["", "words only"])
def test_no_mjml_at_all_is_an_error(source: str) -> None:
    """An empty file, or one that is not MJML."""
    with pytest.raises(TemplateError, match=r"issue\.mjml"):
        compile_mjml(source, path=PATH)


def test_a_template_can_be_checked_before_it_is_filled_in() -> None:
    """Jinja's parts are blanked, so the lines are the template's own."""
    source = document(
        '{# <x #}\n{% if a < b %}\n<mj-text padding="{{ p }}">{{ x }}</mj-text>\n{% endif %}\n<mj-nope />'
    )

    assert [(finding.rule, finding.line) for finding in lint(without_jinja(source), PATH)] == [
        ("mjml.unknown", 5)
    ]


def test_the_shipped_template_is_clean() -> None:
    """Not one finding."""
    path = Path(__file__).parent.parent / "templates" / "email" / "issue.mjml"

    assert lint(without_jinja(path.read_text(encoding="utf-8")), path) == ()


def test_references_of_the_author_mean_the_same_afterwards() -> None:
    """Whether they come back as characters or stay."""
    compiled = compile_mjml(document("<mj-text><b>&#233;&nbsp;&#x1F56F;&amp;lt;</b></mj-text>"), path=PATH)

    assert Found(compiled).text == "é\u00a0🕯&lt;"
