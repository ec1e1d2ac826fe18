"""Markdown that nobody would write by hand: composed by Hypothesis, and a corpus of the worst."""

from __future__ import annotations

from hypothesis import strategies as st

# Each of these cost a renderer its stack, its nesting or its time; some were never seen anywhere.
NASTY = {
    "a note that begins a list with itself": "[^1]:- [^1]:",
    "a note inside a list inside a note": "[^1]\n\n[^1]: - [^2]: a\n\n[^2]",
    "900 asterisks around a letter": "*" * 900 + "a" + "*" * 900,
    "a footnote inside its own quotation": "> [^1]: > [^1]: a\n[^1]",
    "a note that quotes itself": "> [^1]: [^1]\n\n[^1]",
    "notes that point at each other": "[^1]: [^2]\n\n[^2]: [^1]\n\n[^1][^2]",
    "inline notes in inline notes": "^[" * 900 + "a" + "]" * 900,
    "pictures in pictures": "![" * 900 + "a" + "](https://example.org/a)" * 900,
    "links in links": "[" * 900 + "a" + "](https://example.org/a)" * 900,
    "quotations in quotations": "> " * 900 + "a",
    "lists in lists": "- " * 900 + "a",
    "lists in quotations in notes": "[^1]\n\n[^1]: " + "> - " * 200 + "a",
    "definitions of definitions": "a\n" + ": " * 900 + "b",
    "tasks": "- [ ] a\n" * 8_000,
    "brackets": "[" * 60_000,
    "pictures that never end": "![" * 30_000,
    "inline notes that never end": "^[" * 30_000,
    "backticks of every length": " ".join("`" * count for count in range(1, 300)),
    "emphasis that never ends": "*a **a _a __a ~~a " * 3_000,
    "a table of many rows": "|a|b|\n|-|-|\n" + "|a|b|\n" * 8_000,
    "a table of many columns": "|a" * 2_000 + "|\n" + "|-" * 2_000 + "|\n" + "|b" * 2_000 + "|",
    "a table of one empty cell": "||\n|-|\n||",
    "references that define each other": "".join(f"[a{n}]: /a{n + 1}\n" for n in range(6_000)),
    "one note, called often": "[^1]: x\n\n" + "[^1]" * 12_000,
    "a long word": "a" * 60_000,
    "a long word of accents": "a" + "\u0301" * 59_000,
    "a long line of Chinese": "漢" * 60_000,
    "a long line of Thai": "ก" * 60_000,
    "families": "👩‍👩‍👧‍👦" * 8_000,
    "marks that turn the writing": "\u202e\u2066\u2067א" * 15_000,
    "HTML that never ends": "<!--" * 15_000 + "<a " * 100 + "<![CDATA[" * 100,
    "entities": "&#x41;&amp;&lt;&#0;&#xD800;&#99999999;" * 1_500,
    "controls": "\0\x01\x08\x0b\x1b\x7f\x85\u2028\ufdd0\uffff\ufeff" * 5_000,
    "a numbered list from far": "999999999. a\n" * 500,
    "nothing but breaks": "\\\n" * 5_000,
    "tabs": "\t- " * 5_000,
    "rulers": "---\n***\n___\n" * 1_500,
    "tasks whose words are links": "- [ ] [a](https://example.org)\n- [x]\n- [ ]\n- [x] \n\n[x]: /y",
}

_WORDS = st.sampled_from(
    [
        *"aZ09 \n\t*_~`[]()<>!#&|:-+=.\\^\"'",
        "word",
        "ßéa\u0301\u0300\u0489",
        "漢字かな。",
        "ภาษาไทย",
        "עברית",
        "العربية",
        "\u202e\u2066\u2069\u200f",
        "👩‍👩‍👧🇹🇭🏽",
        "\0\x1b\x7f\x9d",
        "\ufdd0\ufffe\ufeff",
        "\u2028\u2029\r",
        "\xa0\xad\u200b",
        "\U000e0041",
        "&amp;&#x41;&nbsp",
        "<b onclick=x>",
        "</div>",
        "<!-- ",
        "<script>",
        "{{ x }}",
        "{% raw %}",
        "https://example.org/a_b",
        "<https://a.b>",
        "  \n",
        "\n\n",
        "[^1]",
        "^[note]",
        "[x]: /y",
        "**a**",
        "~~a~~",
        "`a`",
        "![a](b)",
        "[a](javascript:b)",
        "a" * 300,
    ]
)
_plain = st.lists(_WORDS, max_size=12).map("".join)


def _composed(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One more layer around, or more of the same behind."""
    return st.one_of(
        st.tuples(inner, st.sampled_from(["\n\n", "\n", "", " "]), inner).map("".join),
        st.builds(_around, inner, st.sampled_from(["*", "**", "_", "~~", "`", "***", "*_"])),
        st.builds(
            _before, inner, st.sampled_from(["> ", "- ", "1. ", "- [ ] ", "  ", "    ", ": ", "# ", "[^1]: "])
        ),
        inner.map(lambda text: f"[{text}](https://example.org/)"),
        inner.map(lambda text: f"![{text}](https://example.org/a.png)"),
        inner.map(lambda text: f"^[{text}]"),
        inner.map(lambda text: f"[^1]:{text}\n\n[^1]"),
        st.tuples(inner, inner).map(lambda cells: f"|{cells[0]}|b|\n|-|:-:|\n|{cells[1]}|\n"),
        st.builds(lambda text, times: text[:40] * times, inner, st.integers(2, 200)),
    )


def _around(text: str, mark: str) -> str:
    return mark + text + mark


def _before(text: str, mark: str) -> str:
    """A block: every line begins with it, or the first one and the others are indented."""
    rest = mark if mark == "> " else " " * len(mark)
    return mark + text.replace("\n", f"\n{rest}")


documents = st.recursive(_plain, _composed, max_leaves=25)
