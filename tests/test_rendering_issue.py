"""An issue as a mail: everything in it, nothing remote, the right size, the same every time."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.errors import QueueError, TemplateError, UserError
from bot.model import Credit, Form, Issue, Item, Message, Newsletter, Publication, Reading, placeholder
from bot.rendering.colors import contrast
from bot.rendering.issue import HTML_BYTES, render_issue
from bot.rendering.personal import personalised
from bot.rendering.templates import Templates
from bot.rendering.text import columns

SHIPPED = Path(__file__).parent.parent / "templates"
TEMPLATES = Templates([SHIPPED])
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PUBLICATION = Publication(
    title="Shelf Group",
    tagline="",
    lang="en",
    zone=ZoneInfo("Asia/Bangkok"),
    postal_address="12 Example Road\nBangkok",
    site_url="https://news.example.org",
)
NEWSLETTER = Newsletter(
    name="weekly",
    title="The Weekly Shelf",
    tagline="News & books",
    lang="en",
    langs=(),
    channel="email",
    slots=("Fri 09:00",),
    sender="Shelf <news@example.org>",
    reply_to="desk@example.org",
    list_id="weekly.example.org",
)
# One line of real text for each of many scripts: language, title, body.
SCRIPTS = [
    ("ar", "اليوم العالمي", "نيويورك — اعتمدت **الجمعية** العامة.\n\n- واحد\n- اثنان"),
    ("fa", "می‌خواهم", "همهٔ افراد بشر آزاد به دنیا می‌آیند."),
    ("ur", "تمام انسان", "تمام انسان آزاد پیدا ہوئے ہیں۔"),
    ("he", "שָׁלוֹם", "כל בני אדם נולדו בני חורין."),
    ("dv", "ހުރިހާ", "ހުރިހާ އިންސާނުން ވެސް އުފަންވަނީ."),
    ("th", "พระราชบัญญัติ", "กรุงเทพฯ — มีผลใช้บังคับ"),
    ("my", "လူတိုင်း", "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့်"),
    ("km", "មនុស្ស", "មនុស្សទាំងអស់ កើតមកមានសេរីភាព"),
    ("lo", "ມະນຸດ", "ມະນຸດທຸກຄົນເກີດມາມີອິດສະຫລະ"),
    ("bo", "འགྲོ་བ་མི", "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་"),
    ("hi", "अनुच्छेद", "सभी मनुष्यों को गौरव और अधिकार"),
    ("ta", "மனிதப்", "மனிதப் பிறிவியினர் சகலரும்"),
    ("am", "የሰው", "የሰው፡ልጅ፡ሁሉ፡ነጻ፡ሆኖ"),
    ("zh-Hans", "世界人权宣言", "人人生而自由，在尊严和权利上一律平等。"),
    ("ja", "世界人権宣言", "すべての人間は、自由であり。"),
    ("ko", "세계인권선언", "모든 인간은 태어날 때부터"),
    ("vi", "Tuyên ngôn", "Tất cả mọi người sinh ra đều được tự do"),
    ("yo", "Ìkéde", "Gbogbo ènìyàn ni a bí ní òmìnira"),
    ("nqo", "ߊߟߎ߫", "ߡߐ߱ ߓߍ߯ ߓߘߍ߬ ߡߐߕߣߐ߬ߘߏ߬ߕߊ߬ߡߊ ߟߋ߬ ߘߌ߫"),
    ("xx", '{{ config }} <b> & "q" C:\\new', "`{{ x }}` <!-- c --> 👩🏽‍🎨 🏳️‍🌈"),
]


def an_item(folder: Path, **values: object) -> Item:
    item = Item(
        id="ports",
        path=folder / "ports.md",
        title="Ports & <people>",
        url="https://example.org/ports?a=1&b=2",
        source="Example Times",
        published=date(2026, 11, 20),
        region="Asia/Thailand",
        summary="A summary.",
        body="The body.",
    )
    return replace(item, **values)  # type: ignore[arg-type]


def an_issue(*items: Item) -> Issue:
    slot = datetime(2026, 11, 27, 2, 0, tzinfo=ZoneInfo("UTC"))
    return Issue(newsletter="weekly", number=12, slot=slot, items=items)


def render(*items: Item, newsletter: Newsletter = NEWSLETTER, templates: Templates = TEMPLATES) -> Message:
    return render_issue(an_issue(*items), newsletter, PUBLICATION, templates)


class Page(HTMLParser):
    """What a reader's program sees: tags with attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str, tag: str = "") -> Iterator[str]:
        return (a[name] or "" for t, a in self.tags if name in a and tag in ("", t))


@pytest.fixture
def rich(tmp_path: Path) -> Item:
    """An item that has everything."""
    (tmp_path / "blue.png").write_bytes(PNG)
    return an_item(
        tmp_path,
        content_warning="Mentions violence",
        image="blue.png",
        alt='A "blue" heart',
        also_reported_by=(Credit(source="Other Post", url="https://other.example/"), Credit(source="Radio")),
        further_reading=(Reading(title="A Book", author="A. Writer", url="https://books.example/"),),
    )


def test_the_newsletter_shows_everything(rich: Item) -> None:
    """Masthead, number and date, contents, headline, credits, note, summary, body, books, footer."""
    page = Page(render(rich).html)

    for words in (
        "The Weekly Shelf", "News & books", "Shelf Group", "No. 12", "27 November 2026", "In this issue",
        "Ports & <people>", "Example Times", "20 November 2026", "Asia / Thailand", "Content note:",
        "Mentions violence", "A summary.", "The body.", "Also reported by", "Other Post", "Radio",
        "More literature", "A Book", "A. Writer", "Read at Example Times", "12 Example Road, Bangkok",
        "You get this mail because", "Unsubscribe", "Read this issue on the web",
    ):  # fmt: skip
        assert words in page.text, words
    links = set(page.values("href", "a"))
    assert {
        "#s1", "https://example.org/ports?a=1&b=2", "https://other.example/", "https://books.example/",
        "https://news.example.org/issues/weekly/12",
        f"https://news.example.org/u/weekly/{placeholder('unsubscribe_token')}",
    } <= links  # fmt: skip


def test_the_text_part_is_whole_without_the_html(rich: Item) -> None:
    """The same words and links, in lines of at most 78 columns."""
    text = render(rich).text

    for words in (
        "The Weekly Shelf", "No. 12 · 27 November 2026", "1. Ports & <people>",
        "Content note: Mentions violence",
        "Example Times · 20 November 2026 · Asia / Thailand", "The body.", '[Picture: A "blue" heart]',
        "Read at Example Times:\n<https://example.org/ports?a=1&b=2>", "- Other Post <https://other.example/>",
        "- A Book, A. Writer <https://books.example/>", "12 Example Road, Bangkok",
        f"<https://news.example.org/u/weekly/{placeholder('unsubscribe_token')}>",
    ):  # fmt: skip
        assert words in text, words
    assert all(columns(line) <= 78 for line in text.splitlines() if "://" not in line)


def test_nothing_is_fetched_from_anywhere(rich: Item) -> None:
    """No remote picture, font, style or script; the only pictures are in the mail itself."""
    message = render(replace(rich, body="![x](https://evil.example/p.gif)"))
    page = Page(message.html)

    assert set(page.values("src")) == {f"cid:{message.media[0].cid}"}
    assert not {"link", "script", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert "url(" not in message.html
    assert "@import" not in message.html


def test_a_picture_goes_along_once_and_is_described(rich: Item) -> None:
    """Its kind is read from its content; its name in the mail tells no topic."""
    message = render(rich, replace(rich, id="b", title="B"))

    [media] = message.media
    assert media.mime_type == "image/png"
    assert re.fullmatch(r"[0-9a-f]{32}@weekly\.example\.org", media.cid)
    assert list(Page(message.html).values("alt", "img")) == ['A "blue" heart'] * 2


@pytest.mark.parametrize("content", [None, b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_picture_that_cannot_be_used_names_the_item(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or of a kind that mail does not show."""
    if content:
        (tmp_path / "x.png").write_bytes(content)

    with pytest.raises(QueueError, match=r"ports\.md:1: image x\.png"):
        render(an_item(tmp_path, image="x.png"))


def test_subject_and_preheader_tell_no_topic(rich: Item) -> None:
    """Others may see the inbox; after the preheader come invisible spaces, not the first headline."""
    message = render(rich)
    shown = re.sub(r"<(style|title)[^>]*>.*?</\1>|<!--.*?-->", "", message.html, flags=re.DOTALL)
    first = " ".join(Page(shown).text.split())

    assert message.subject == "The Weekly Shelf: 1 item, 27 November 2026"
    assert first.startswith("No. 12 · Every item with its source and a link to read on")
    assert first.index("Ports") > 200


@pytest.mark.parametrize("lang", ["en", "de", "fr", "es", "pt", "th", "ar"])
def test_the_preheader_says_something_else_than_the_subject(tmp_path: Path, lang: str) -> None:
    """Inboxes show them side by side."""
    words = TEMPLATES.strings(lang)

    assert not set(re.findall(r"{\w+}", words["subject"])) & set(re.findall(r"{\w+}", words["preheader"]))


def test_two_renderings_are_the_same_to_the_byte(rich: Item) -> None:
    """And the Date header is the slot, never the clock."""
    assert render(rich) == render(rich)
    assert render(rich).date == an_issue().slot


def test_the_page_is_accessible(rich: Item) -> None:
    """Language, direction, title, one h1, layout tables that say so, both colour schemes."""
    html = render(rich).html
    page = Page(html)

    assert [(t, a["lang"], a["dir"]) for t, a in page.tags if t == "html"] == [("html", "en", "ltr")]
    assert "<title>The Weekly Shelf: 1 item, 27 November 2026</title>" in html
    assert [tag for tag, _ in page.tags].count("h1") == 1
    assert all(attributes.get("role") == "presentation" for tag, attributes in page.tags if tag == "table")
    assert '<meta name="color-scheme" content="light dark"' in html


@pytest.mark.parametrize(("lang", "title", "body"), SCRIPTS, ids=[lang for lang, _, _ in SCRIPTS])
def test_every_script_comes_out_whole(tmp_path: Path, lang: str, title: str, body: str) -> None:
    """In both parts, also as the description of a picture, and each item says its language and direction."""
    (tmp_path / "blue.png").write_bytes(PNG)

    message = render(an_item(tmp_path, lang=lang, title=title, body=body, image="blue.png", alt=title))

    page = Page(message.html)
    assert title in page.text
    assert title in message.text
    assert list(page.values("alt", "img")) == [title]
    assert lang in set(page.values("lang", "div"))
    assert not re.search("[\x80-\x9f]", message.html + message.text)


def test_an_arabic_item_reads_from_right_to_left(tmp_path: Path) -> None:
    """With the house's words in Arabic too; the newsletter around it stays English."""
    page = Page(render(an_item(tmp_path, lang="ar", title="عنوان", source="الأمم المتحدة")).html)

    assert {"lang": "ar", "dir": "rtl"}.items() <= next(
        attributes for tag, attributes in page.tags if (attributes.get("class") or "").endswith("story")
    ).items()
    assert "القراءة لدى الأمم المتحدة" in page.text
    assert "In this issue" in page.text


def test_an_arabic_newsletter_is_arabic_all_over(tmp_path: Path) -> None:
    """Masthead, date and footer."""
    message = render(an_item(tmp_path), newsletter=replace(NEWSLETTER, lang="ar", title="الرف"))

    assert message.subject == "الرف: مادة واحدة، 27 نوفمبر 2026"
    assert '<html lang="ar" dir="rtl"' in message.html
    assert "إلغاء الاشتراك" in message.text


@pytest.mark.parametrize(
    ("title", "address", "imprint"),
    [
        ("Shelf Group", "12 Example Road\nBangkok", "Shelf Group, 12 Example Road, Bangkok"),
        ("Shelf Group", "Shelf Group\n12 Example Road", "Shelf Group, 12 Example Road"),
        ("Shelf Group", "SHELF GROUP, 12 Example Road", "SHELF GROUP, 12 Example Road"),
        ("Shelf Group", "Shelf Groups Hall", "Shelf Group, Shelf Groups Hall"),
        ("مجموعة الرف", "شارع الميناء 1\nبيروت", "مجموعة الرف، شارع الميناء 1، بيروت"),
    ],
)
def test_the_imprint_says_the_name_once(tmp_path: Path, title: str, address: str, imprint: str) -> None:
    """Also where the address begins with it; the comma is that of the script."""
    publication = replace(PUBLICATION, title=title, postal_address=address)

    message = render_issue(an_issue(an_item(tmp_path)), NEWSLETTER, publication, TEMPLATES)

    assert imprint in Page(message.html).text
    assert imprint in message.text


def test_a_left_to_right_imprint_in_a_right_to_left_mail_keeps_its_commas(tmp_path: Path) -> None:
    """Name and address are one run: apart, the comma would stand before the name."""
    message = render(an_item(tmp_path), newsletter=replace(NEWSLETTER, lang="ar", title="الرف"))

    assert '<span dir="ltr">Shelf Group, 12 Example Road, Bangkok</span>&#x200f;</p>' in message.html


# --------------------------------------------------------------------------- colour and logo


def test_links_have_the_publications_colour_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    """In the light and in the dark; the bar above has the colour itself."""
    publication = replace(PUBLICATION, color="#ffee00")

    html = render_issue(an_issue(an_item(tmp_path)), NEWSLETTER, publication, TEMPLATES).html

    found = re.findall(r"\.text a \{ color: (#[0-9a-f]{6})", html)
    assert len(found) == 2
    light, dark = found
    assert min(contrast(light, "#fdfcf9"), contrast(light, "#efece5")) >= 4.5
    assert min(contrast(dark, "#1d2024"), contrast(dark, "#15171a")) >= 4.5
    assert dark == "#ffee00"
    assert "border-top:4px solid #ffee00" in html


def test_the_mails_colours_stand_in_one_place() -> None:
    """Whoever changes one finds it once, at the top."""
    source = (SHIPPED / "email" / "issue.mjml").read_text(encoding="utf-8")
    palette, rest = source.split("<mjml ", 1)

    assert len(re.findall(r"#[0-9a-f]{6}\b", palette)) > 20
    assert not re.findall(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b(?!;)", rest)


def test_the_logo_goes_along_inside_the_mail(tmp_path: Path) -> None:
    """In place of the publisher's name, and it says that name; never from elsewhere, and not in headlines."""
    (tmp_path / "logo.png").write_bytes(PNG)
    publication = replace(PUBLICATION, logo=tmp_path / "logo.png")
    issue = an_issue(an_item(tmp_path))

    message = render_issue(issue, NEWSLETTER, publication, TEMPLATES)
    headlines = render_issue(issue, NEWSLETTER, publication, TEMPLATES, form=Form.HEADLINES)

    [logo] = message.media
    page = Page(message.html)
    assert list(page.values("src", "img")) == [f"cid:{logo.cid}"]
    assert list(page.values("alt", "img")) == ["Shelf Group"]
    assert headlines.media == ()
    assert "Shelf Group" in headlines.html


def test_an_svg_logo_stays_out_of_mail(tmp_path: Path) -> None:
    """Most mail programs do not show one: the name stands there."""
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    publication = replace(PUBLICATION, logo=tmp_path / "logo.svg")

    message = render_issue(an_issue(an_item(tmp_path)), NEWSLETTER, publication, TEMPLATES)

    assert message.media == ()
    assert '<p class="soft">Shelf Group</p>' in message.html


def test_what_does_not_fit_is_left_to_its_source(tmp_path: Path) -> None:
    """The longest body goes first, whole, and is named; the others stay to the last word."""
    long = an_item(tmp_path, id="long", body="word " * 14_000 + "END")
    short = an_item(tmp_path, id="short", body="word " * 6_000 + "STOP")

    message = render(long, short)

    assert len(message.html.encode()) <= HTML_BYTES
    assert message.shortened == ("long: summary and link only",)
    assert "END" not in message.html + message.text
    assert "STOP" in message.html
    assert message.html.count("A summary.") == 2


def test_a_shortened_story_goes_on_at_our_own_page_of_it(tmp_path: Path) -> None:
    """Its source has a link of its own, as in every story; a story that is whole has no other link."""
    long = an_item(tmp_path, id="long", body="word " * 14_000)
    short = an_item(tmp_path, id="short", body="word " * 6_000)

    message = render(long, short)

    links = re.findall(r'<a [^>]*href="([^"]*)">((?:Read|Continue) at [^<]*)</a>', message.html)
    own, source = "https://news.example.org/items/long", "https://example.org/ports?a=1&amp;b=2"
    assert links == [
        (own, "Continue at news.example.org"),
        (source, "Read at Example Times"),
        (source, "Read at Example Times"),
    ]
    assert f"Continue at news.example.org:\n<{own}>\nRead at Example Times:\n<" in message.text
    assert message.text.count("Continue at") == 1


def test_then_the_books_are_fewer(tmp_path: Path) -> None:
    """Three of each item, and how many more there are."""
    books = tuple(Reading(title=f"Book {n} " + "x" * 100, author="A. Writer") for n in range(500))

    message = render(an_item(tmp_path, further_reading=books))

    assert message.shortened[-1] == "further reading: 3 titles for each item"
    assert "and 497 more" in message.html
    assert "and 497 more" in message.text


def test_an_issue_that_cannot_fit_says_what_to_do(tmp_path: Path) -> None:
    """Too many items: a person decides, nothing is cut."""
    items = (an_item(tmp_path, id=f"i{n}", title=f"Item {n}", summary="words " * 80) for n in range(120))

    with pytest.raises(UserError, match="lower max_items"):
        render(*items)


def test_the_mailing_list_fields(tmp_path: Path) -> None:
    """What the mail's headers are made of; the archive link is the issue's own."""
    mailing = render(an_item(tmp_path)).mailing

    assert mailing is not None
    assert mailing.list_id == "weekly.example.org"
    assert mailing.sender == "Shelf <news@example.org>"
    assert mailing.archive_url == "https://news.example.org/issues/weekly/12"
    assert mailing.unsubscribe_url == f"https://news.example.org/u/weekly/{placeholder('unsubscribe_token')}"


def test_the_date_is_the_one_in_the_publications_zone(tmp_path: Path) -> None:
    """Late on Thursday in UTC is Friday in Bangkok."""
    issue = replace(an_issue(an_item(tmp_path)), slot=datetime(2026, 11, 26, 20, tzinfo=ZoneInfo("UTC")))

    assert "27 November 2026" in render_issue(issue, NEWSLETTER, PUBLICATION, TEMPLATES).subject


def test_a_fault_in_the_template_names_its_own_line(tmp_path: Path) -> None:
    """The line of the file a person edits, not of the filled-in document."""
    source = (SHIPPED / "email" / "issue.mjml").read_text(encoding="utf-8")
    path = tmp_path / "email" / "issue.mjml"
    path.parent.mkdir()
    path.write_text(source.replace("<mj-column>", '<mj-column widht="3px">', 1), encoding="utf-8")
    line = next(n for n, words in enumerate(path.read_text().splitlines(), 1) if "widht" in words)

    with pytest.raises(TemplateError) as caught:
        render(an_item(tmp_path), templates=Templates([tmp_path, SHIPPED]))

    assert (caught.value.path, caught.value.line) == (path, line)


def test_placeholders_are_filled_in_everywhere(tmp_path: Path) -> None:
    """Raw in text and address, escaped in HTML; nothing is left behind."""
    message = personalised(render(an_item(tmp_path)), {"unsubscribe_token": 'a&"b'})

    assert "https://news.example.org/u/weekly/a&amp;&quot;b" in message.html
    assert 'https://news.example.org/u/weekly/a&"b' in message.text
    assert message.mailing is not None
    assert message.mailing.unsubscribe_url.endswith('/a&"b')
    assert not re.search("[\ufdd0\ufdd1]", message.html + message.text + message.subject)


def test_a_missing_value_is_an_error(tmp_path: Path) -> None:
    """A mail without its unsubscribe link must not go out."""
    with pytest.raises(KeyError, match="unsubscribe_token"):
        personalised(render(an_item(tmp_path)), {})


def test_a_story_cannot_contain_a_placeholder(tmp_path: Path) -> None:
    """Its characters are taken away, so nobody's token can be drawn into a story."""
    trick = placeholder("unsubscribe_token")
    message = render(
        an_item(tmp_path, title=f"T{trick}", body=f"B{trick}", summary=trick, source=trick + "S")
    )

    assert message.html.count(trick) == 2  # ours: to leave, and to change what one gets
    assert message.text.count(trick) == 2


# --------------------------------------------------------------------------- as readers want it


def test_headlines_only_leaves_title_source_link_and_content_note(tmp_path: Path) -> None:
    book = Reading(title="Rule of law", author="A. Author")
    item = an_item(
        tmp_path,
        title="Ports",
        url="https://example.org/p",
        content_warning="Mentions violence",
        summary="What it says.",
        further_reading=(book,),
    )
    issue = an_issue(item)

    message = render_issue(issue, NEWSLETTER, PUBLICATION, TEMPLATES, form=Form.HEADLINES)

    for words in (message.html, message.text):
        assert item.title in words
        assert item.url in words
        assert "Mentions violence" in words
        assert item.summary not in words
        assert book.title not in words
    assert message.text.count(item.title) == 1, "a list of contents would say it twice"
    assert message.subject == render_issue(issue, NEWSLETTER, PUBLICATION, TEMPLATES).subject


def test_plain_text_only_is_the_text_part_of_the_whole_issue(tmp_path: Path) -> None:
    issue = an_issue(an_item(tmp_path))
    whole = render_issue(issue, NEWSLETTER, PUBLICATION, TEMPLATES)

    plain = render_issue(issue, NEWSLETTER, PUBLICATION, TEMPLATES, form=Form.PLAIN)

    assert plain == replace(whole, html="", media=())


@pytest.mark.parametrize(
    ("lang", "plain", "named"),
    [
        ("en", "Hello,", "Hello Ana & <Co>,"),
        ("es", "Hola:", "Hola, Ana & <Co>:"),
        ("xx", "Hello,", "Hello Ana & <Co>,"),
    ],
)
def test_a_greeting_says_the_name_where_it_is_known(
    tmp_path: Path, lang: str, plain: str, named: str
) -> None:
    """In the reader's language, before the contents, in both parts; a name is text and never a tag."""
    newsletter, issue = replace(NEWSLETTER, greets=True, lang=lang), an_issue(an_item(tmp_path))
    for_all = render_issue(issue, newsletter, PUBLICATION, TEMPLATES)
    for_ana = render_issue(issue, newsletter, PUBLICATION, TEMPLATES, named=True)
    values = {"unsubscribe_token": "t", "name": "Ana & <Co>"}

    assert plain in for_all.text.splitlines()
    assert plain in Page(for_all.html).text
    assert named in personalised(for_ana, values).text.splitlines()
    assert named in Page(personalised(for_ana, values).html).text
    assert '<span dir="auto">Ana &amp; &lt;Co&gt;</span>' in personalised(for_ana, values).html
    assert for_ana.text.index(placeholder("name")) < for_ana.text.index("Ports")


def test_without_being_asked_it_greets_nobody(tmp_path: Path) -> None:
    """The name stands in the To field alone."""
    message = render_issue(an_issue(an_item(tmp_path)), NEWSLETTER, PUBLICATION, TEMPLATES, named=True)

    assert placeholder("name") not in message.html + message.text
    assert "Hello" not in message.html + message.text


def test_both_parts_lead_to_the_preferences(tmp_path: Path) -> None:
    message = render_issue(an_issue(an_item(tmp_path)), NEWSLETTER, PUBLICATION, TEMPLATES)
    link = f"{PUBLICATION.site_url}/p/{NEWSLETTER.name}/{placeholder('unsubscribe_token')}"

    assert link in message.html
    assert link in message.text
