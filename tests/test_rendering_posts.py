"""An item as a short message of one channel."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import regex
import tdjson
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.channels.mastodon.length import status_length
from bot.channels.telegram.html import text_length
from bot.errors import QueueError, TemplateError
from bot.model import Item
from bot.rendering.bidi import directed, isolated, line
from bot.rendering.posts import disarmed, hashtags, render_post
from bot.rendering.shorten import ELLIPSIS, graphemes, sentence_ends
from bot.rendering.templates import Templates

TEMPLATES = Templates([Path(__file__).parent.parent / "templates"])
LINK = "https://www.ilo.org/a(b)?x=1&y=2"
MARKS = "\u200e\u200f\u2068\u2069\u2060"

ITEM = Item(
    id="ports",
    path=Path("queue/ports.md"),
    title="Ports protocol enters into force",
    url=LINK,
    source="ILO",
    published=date(2026, 11, 23),
    region="Europe/Council of Europe",
    tags=("forced-labour", "ilo", "treaties", "ports"),
    summary="A treaty binds 12 states. It names No. 105 as its source. Inspections begin in May.",
)
NOTED = replace(ITEM, content_warning="Mentions confinement")


@pytest.fixture
def pictured(tmp_path):
    """An item with a picture on disk."""
    (tmp_path / "ship.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    alt = "A drawn ship. No people are shown."
    return replace(ITEM, path=tmp_path / "ports.md", image="ship.png", alt=alt)


def mastodon(item, characters=500, alt_text=1500):
    return render_post(
        item,
        kind="mastodon",
        templates=TEMPLATES,
        length=status_length,
        characters=characters,
        alt_text=alt_text,
    )


def telegram(item, characters=4096, caption=1024):
    return render_post(
        item,
        kind="telegram",
        templates=TEMPLATES,
        length=text_length,
        characters=characters,
        caption=caption,
    )


def tdlib(request, **values):
    """Ask Telegram's own library; no account and no network."""
    return json.loads(tdjson.td_execute(json.dumps({"@type": request, **values}).encode()))


tdlib("setLogVerbosityLevel", new_verbosity_level=0)


def formatted(html):
    """Telegram's reading of its HTML."""
    return tdlib("parseTextEntities", text=html, parse_mode={"@type": "textParseModeHTML"})


def parsed(html):
    """What Telegram's own library makes of it: the text and [(entity, its words)]."""
    answer = formatted(html)
    assert answer["@type"] == "formattedText", answer
    units = answer["text"].encode("utf-16-le")
    named = [
        (e["type"], units[2 * e["offset"] : 2 * (e["offset"] + e["length"])]) for e in answer["entities"]
    ]
    return answer["text"], [
        (kind["@type"].removeprefix("textEntityType"), words.decode("utf-16-le")) for kind, words in named
    ]


# --------------------------------------------------------------------------- the posts


def test_a_mastodon_post_reads_like_an_editors():
    """Title, summary, source and date, link, three hashtags."""
    post = mastodon(ITEM)

    assert post.text == (
        "Ports protocol enters into force\n\n"
        "A treaty binds 12 states. It names No. 105 as its source. Inspections begin in May.\n\n"
        f"ILO · 23 November 2026\n{LINK}\n\n"
        "#ForcedLabour #ILO #Treaties"
    )
    assert (post.kind, post.lang, post.url, post.shortened) == ("post", "en", LINK, ())


def test_a_telegram_post_reads_like_an_editors():
    """Bold title, summary, source with date and region, and a link that says where it leads."""
    text, entities = parsed(telegram(ITEM).text)

    assert text == (
        "Ports protocol enters into force\n\n"
        "A treaty binds 12 states. It names No. 105 as its source. Inspections begin in May.\n\n"
        "ILO · 23 November 2026 · Council of Europe\nRead at ilo.org"
    )
    assert entities == [("Bold", ITEM.title), ("TextUrl", "Read at ilo.org")]


def test_telegrams_link_is_the_items_own():
    """Escaped once, read back unchanged."""
    entities = formatted(telegram(ITEM).text)["entities"]

    assert [entity["type"].get("url") for entity in entities] == [None, LINK]


def test_only_what_is_there_is_said():
    """No summary, no tags, no region: no empty lines, no separators."""
    bare = replace(ITEM, summary="", tags=(), region="")

    assert mastodon(bare).text == f"{ITEM.title}\n\nILO · 23 November 2026\n{LINK}"
    assert parsed(telegram(bare).text)[0] == f"{ITEM.title}\n\nILO · 23 November 2026\nRead at ilo.org"


def test_a_content_note_has_its_own_field_on_mastodon_and_counts():
    """The server adds it to the text when it counts."""
    post = mastodon(NOTED, characters=170)

    assert post.content_note == "Mentions confinement"
    assert "confinement" not in post.text
    assert len(mastodon(ITEM, characters=170).text) > len(post.text)
    assert status_length(post.text, post.content_note) <= 170


def test_a_content_note_comes_first_on_telegram_and_covers_the_summary():
    """The reader chooses before reading, also in the notification."""
    post = telegram(NOTED)
    text, entities = parsed(post.text)

    assert text.startswith("Content note: Mentions confinement\n\nPorts protocol")
    assert ("Spoiler", ITEM.summary) in entities
    assert post.content_note == ""


def test_markup_in_an_item_is_text():
    """Nothing an item holds becomes a tag, an entity or a template."""
    wild = 'A <b>bold</b> & "quoted" claim: it\'s {{ config }} &nbsp; </a>'
    item = replace(ITEM, title=wild, summary=wild, source=wild, content_warning=wild)

    text, entities = parsed(telegram(item).text)

    assert text.count(wild) == 4
    assert [kind for kind, _ in entities] == ["Bold", "Spoiler", "TextUrl"]
    assert wild in mastodon(item).text


# --------------------------------------------------------------------------- pictures


def test_a_picture_goes_along_with_its_description(pictured):
    """Mastodon has a field for it, Telegram gets it in the words."""
    on_mastodon, on_telegram = mastodon(pictured), telegram(pictured)

    assert on_mastodon.media[0].alt == pictured.alt
    assert on_mastodon.media[0].mime_type == "image/png"
    assert on_mastodon.media[0].path == pictured.image_path
    assert pictured.alt not in on_mastodon.text
    assert ("Italic", f"Picture: {pictured.alt}") in parsed(on_telegram.text)[1]


def test_a_post_never_goes_out_without_its_picture(pictured):
    """A picture that is not there is the item's fault, and told before anything is sent."""
    with pytest.raises(QueueError, match=r"image gone\.png cannot be read"):
        mastodon(replace(pictured, image="gone.png"))


def test_a_channel_without_pictures_gets_none(pictured):
    """Neither the picture nor its description."""
    post = render_post(pictured, kind="telegram", templates=TEMPLATES, length=text_length, characters=4096)

    assert post.media == ()
    assert "ship" not in post.text


def test_a_long_description_ends_at_a_sentence(pictured):
    """Cut only where even the first sentence is too long."""
    told = "picture's description: shortened"

    post = mastodon(pictured, alt_text=20)

    assert (post.media[0].alt, post.shortened) == ("A drawn ship.", (told,))
    assert mastodon(pictured, alt_text=8).media[0].alt == "A drawn…"


def test_with_a_picture_the_caption_is_the_limit(pictured):
    """The same words have 4096 without a picture and 1024 with one."""
    long = replace(pictured, summary="One more sentence. " * 150)

    assert 900 < text_length(telegram(long).text) <= 1024
    assert text_length(telegram(replace(long, image="")).text) > 2500


# --------------------------------------------------------------------------- fitting


def test_the_summary_gives_way_sentence_by_sentence():
    """The longest that fits; what was done is told."""
    post = mastodon(ITEM, characters=180)

    assert "\n\nA treaty binds 12 states. It names No. 105 as its source.\n\n" in post.text
    assert post.shortened == ("summary: shortened at a sentence",)


@pytest.mark.parametrize("characters", range(90, 260, 10))
def test_a_shortened_summary_is_never_a_fragment(characters):
    """ "Three years after it was…" says nothing, or the wrong thing: a whole sentence, or none."""
    first = "Three years after it was signed, the treaty was ratified by the last of the twelve states."
    post = mastodon(replace(ITEM, summary=f"{first} Inspections begin in May."), characters=characters)

    assert ELLIPSIS not in post.text
    assert ("Three years" in post.text) == (first in post.text)


def test_thai_has_no_sentence_marks_and_ends_at_a_space():
    """A space is where a thought ends there; without it no Thai summary would ever be shortened."""
    thai = "กฎหมายใหม่คุ้มครองแรงงานประมงทุกคน ครอบคลุมแรงงานข้ามชาติด้วย " * 8
    post = mastodon(replace(ITEM, lang="th", summary=thai.strip()), characters=300)

    assert f"ด้วย{ELLIPSIS}" in post.text or f"ทุกคน{ELLIPSIS}" in post.text


def test_a_picture_under_a_content_note_is_covered(pictured):
    """Where a service has no content note of its own, the picture is hidden until it is touched."""
    noted = replace(pictured, content_warning="Mentions confinement")

    assert telegram(noted).media[0].covered
    assert not telegram(pictured).media[0].covered


@pytest.mark.parametrize("text", ["We are #1 again", "Case #123", "＃1"])
def test_a_number_with_a_hash_is_no_hashtag(text):
    """Servers differ in what they take for a tag; none takes this."""
    assert regex.search(r"[#＃]\w", disarmed(text)) is None
    assert disarmed(text).replace("\u2060", "") == text
    assert hashtags(["1", "2026", "#1"]) == ()


def test_then_what_surrounds_the_title_and_the_title_last():
    """Link and source stay when summary and hashtags have gone."""
    item = replace(ITEM, title="Ports protocol " * 20)

    post = mastodon(item, characters=100)

    assert post.text == (
        f"Ports protocol Ports protocol Ports protocol Ports{ELLIPSIS}\n\nILO · 23 November 2026\n{LINK}"
    )
    assert post.shortened == ("summary: left out", "tags: fewer", "title: cut")


def test_what_cannot_fit_is_told():
    """A content note is never shortened; the error names the file and the way out."""
    noted = replace(ITEM, content_warning="War. " * 120)

    with pytest.raises(QueueError, match=r"queue/ports\.md:1: does not fit .* shorten content_warning"):
        mastodon(noted)


SENTENCES = (
    *("The law passed. ", "See No. 105, the U.S. text (B.E. 2551). ", "Why? ", "Ask @somebody #now. "),
    *(
        "第一句。",
        "यह सच है। ",
        "هل هذا؟ ",
        "ที่ พ.ศ. ๒๕๕๑ ",
        "👨‍👩‍👧‍👦🇹🇭 ",
        "Ha\u0300 No\u0323\u0302i ",
        '<b> & "x" &amp; \'',
        "http://a.example/b ",
    ),
)
prose = st.one_of(
    st.lists(st.sampled_from(SENTENCES), max_size=40).map("".join),
    st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=MARKS), max_size=80),
)
items = st.builds(
    lambda title, summary, source, lang, note: replace(
        ITEM, title=title, summary=summary, source=source, lang=lang, content_warning=note[:20]
    ),
    prose.filter(lambda title: title.strip() and "://" not in title),  # a link is never cut
    prose,
    prose,
    st.sampled_from(["en", "ar", "th", "de", "zh", "km"]),
    st.sampled_from(["", "Mentions violence", "العنف"]),
)


def flat(text):
    return regex.sub(r"[ \u2028\u2029]+", " ", text).strip(" ")


def is_shortened_well(found, source, lang):
    """Whole graphemes of the source, up to a sentence or an ellipsis."""
    found, source = found.lstrip("\u200e\u200f").replace("\u2060", ""), flat(source)
    if found in {source, ""}:
        return True
    ends = [source[:end] for end in sentence_ends(source, lang)]
    cuts = {"".join(graphemes(source)[:count]) for count in range(len(graphemes(source)))}
    return found in ends or (found.endswith(ELLIPSIS) and found.removesuffix(ELLIPSIS) in cuts)


@settings(deadline=None)
@given(items, st.integers(60, 700))
def test_any_item_fits_any_limit_that_holds_link_and_a_word(tmp_path_factory, item, characters):
    """It holds the whole link, and each piece ends at a sentence or with an ellipsis."""
    folder = tmp_path_factory.getbasetemp() / "plain"
    folder.mkdir(exist_ok=True)
    (folder / "post.txt").write_text("{{ title }}\x1e{{ summary }}\x1e\n{{ url }}")

    post = render_post(
        item, kind="plain", templates=Templates([folder.parent]), length=status_length, characters=characters
    )

    title, summary, url = post.text.split("\x1e")
    assert status_length(post.text, post.content_note) <= characters
    assert url == f"\n{LINK}"
    assert is_shortened_well(title, item.title, item.lang)
    assert is_shortened_well(summary, item.summary, item.lang)


@settings(deadline=None)
@given(items, st.integers(80, 700))
def test_the_shipped_templates_fit_any_limit(item, characters):
    """Telegram takes the HTML; both hold the link; Mastodon's is on a line of its own."""
    noted_words = len(item.content_warning) + 20

    status, message = mastodon(item, characters), telegram(item, characters + noted_words)

    assert status_length(status.text, status.content_note) <= characters
    assert LINK in status.text.split("\n")
    assert text_length(message.text) <= characters + noted_words
    text, entities = parsed(message.text)
    assert len(text) <= characters + noted_words
    assert {kind for kind, _ in entities} >= {"Bold", "TextUrl"} or not item.title.strip()


# --------------------------------------------------------------------------- mentions and hashtags


@pytest.mark.parametrize(
    ("written", "published"),
    [
        ("#1 *x* @user", "#\u20601 *x* @\u2060user"),
        ("by @user@example.org, ＠user", "by @\u2060user@example.org, ＠\u2060user"),
        ("C#minor #BlueHeart ＃平和", "C#\u2060minor #\u2060BlueHeart ＃\u2060平和"),
        ("info@unodc.org @ 5 p.m. # 100% #30", "info@unodc.org @ 5 p.m. # 100% #\u206030"),
        ("https://example.org/@user#part (@x)", "https://example.org/@user#part (@\u2060x)"),
    ],
)
def test_an_items_words_never_mention_anybody(written, published):
    """Nor make hashtags, not of numbers either; addresses and links stay as they are."""
    assert disarmed(written) == published


def found_by_telegram(text):
    """What Telegram's own library makes a link of by itself."""
    entities = tdlib("getTextEntities", text=text)["entities"]
    return {entity["type"]["@type"].removeprefix("textEntityType") for entity in entities}


def test_neither_service_finds_a_mention_in_a_post():
    """Telegram's library and Mastodon's way of counting, on the words as they go out."""
    armed = "#1 *x* @username #tag, /@another, ข@username, =@somebody"
    item = replace(ITEM, title=armed, summary=armed, source=armed, tags=())

    assert found_by_telegram(armed) == {"Mention", "Hashtag"}
    assert found_by_telegram(parsed(telegram(item).text)[0]) == {"Url"}  # "ilo.org"
    assert found_by_telegram(mastodon(item).text) == {"Url"}
    assert status_length("by @a@example.org") == len("by @a")
    assert status_length(disarmed("by @a@example.org")) == len("by @\u2060a@example.org")


@pytest.mark.parametrize(
    ("tags", "made"),
    [
        (("forced-labour",), ("#ForcedLabour",)),
        (("vie-prive\u0301e", "résumé"), ("#ViePrivée", "#Résumé")),
        (("الأمم-المتحدة", "การค้ามนุษย์", "यौन-हिंसा"), ("#الأمم_المتحدة", "#การค้ามนุษย์", "#यौन_हिंसा")),
        (("conseil-de-l’europe", "#WorldDay"), ("#ConseilDeLEurope", "#WorldDay")),
        (("2026", "c++", "!", "", "a b", "x" * 41, "un", "UN"), ("#AB", "#UN")),
        (("a", "b", "c", "d"), ("#A", "#B", "#C")),
    ],
)
def test_tags_become_hashtags(tags, made):
    """Capitals tell the words apart; what cannot be a hashtag is left out; three at most."""
    assert hashtags(tags, acronyms={"un": "UN"}) == made


def test_a_tag_is_written_in_capitals_as_the_item_does():
    """Found in title, source, summary and body, not in the body's dateline."""
    item = replace(ITEM, tags=("tvpa", "paris", "ports"), body="PARIS -- The act (TVPA) binds PORTS.")

    assert mastodon(item).text.endswith("\n\n#TVPA #Paris #PORTS")


# --------------------------------------------------------------------------- direction


def test_an_arabic_post_begins_from_the_right():
    """A Latin name in front would turn the line round; no mark where none is needed."""
    assert directed("UNODC: تقرير", "rtl") == "\u200fUNODC: تقرير"
    assert directed("٣٠ تموز UNODC", "rtl") == "٣٠ تموز UNODC"
    assert directed("«العدالة» means justice", "ltr") == "\u200e«العدالة» means justice"
    assert directed("2026", "rtl") == "2026"


def test_only_pieces_that_mix_directions_are_isolated():
    """Latin, or a date of digits alone, within Arabic; Arabic within English."""
    assert line("الأمم المتحدة", "18 ديسمبر 2013", way="rtl") == "الأمم المتحدة · 18 ديسمبر 2013"
    assert line("UNODC", "2013-12-18", way="rtl") == "\u200f\u2068UNODC\u2069 · \u20682013-12-18\u2069"
    assert line("UNODC", "2013-12-18") == "UNODC · 2013-12-18"
    assert isolated("الأمم \u2068A/RES", "ltr") == "\u2068الأمم \u2068A/RES\u2069\u2069"


def test_an_arabic_item_is_set_from_right_to_left():
    """Title and dateline are turned, the source is kept together."""
    item = replace(ITEM, lang="ar", title="UNODC: تقرير جديد", summary="")

    rows = mastodon(item).text.split("\n")

    assert rows[0] == "\u200fUNODC: تقرير جديد"
    assert rows[2].startswith("\u2068ILO\u2069 · 23 ")


# --------------------------------------------------------------------------- templates


def test_a_channel_from_outside_brings_its_own_template(tmp_path):
    """``<type>/post.txt`` is all that it needs."""
    (tmp_path / "pigeon").mkdir()
    (tmp_path / "pigeon/post.txt").write_text("{{ title }} & {{ url }}")

    post = render_post(ITEM, kind="pigeon", templates=Templates([tmp_path]), length=len, characters=100)

    assert post.text == f"{ITEM.title} & {LINK}"


def test_a_missing_template_is_named(tmp_path):
    """With the file that would do."""
    with pytest.raises(TemplateError, match=r"pigeon/post\.txt: there is no such template"):
        render_post(ITEM, kind="pigeon", templates=Templates([tmp_path]), length=len, characters=100)
