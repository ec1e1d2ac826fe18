"""Templates: which file wins, what a template may do, and how its faults are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import TemplateError
from bot.rendering.templates import Templates

SHIPPED = Path(__file__).parent.parent / "templates"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A workspace's folder and the shipped one."""
    return tmp_path / "workspace", tmp_path / "shipped"


def write(folder: Path, name: str, words: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(words, encoding="utf-8")
    return path


def test_the_workspace_wins_over_the_shipped_template(folders: tuple[Path, Path]) -> None:
    """The first folder that has the file is the one that is used; the others fill the gaps."""
    workspace, shipped = folders
    write(shipped, "email/a.txt", "shipped a")
    write(shipped, "email/b.txt", "shipped b")
    write(workspace, "email/a.txt", "own a")
    templates = Templates(folders)

    assert templates.render("email/a.txt") == "own a"
    assert templates.render("email/b.txt") == "shipped b"
    assert templates.exists("email/b.txt")
    assert not templates.exists("email/c.txt")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.txt", '<b> & "q" \''),
        ("x.html", "&lt;b&gt; &amp; &#34;q&#34; &#39;"),
        ("x.mjml", "&lt;b&gt; &amp; &#34;q&#34; &#39;"),
        ("x.svg", "&lt;b&gt; &amp; &#34;q&#34; &#39;"),
    ],
)
def test_only_plain_text_is_not_escaped(folders: tuple[Path, Path], name: str, expected: str) -> None:
    """Escaping goes by the file's name; an unknown kind is escaped, to be safe."""
    write(folders[1], name, "{{ value }}")

    assert Templates(folders).render(name, value='<b> & "q" \'') == expected


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("one\n{{ missing }}", 2),
        ("one\ntwo\n{% if %}", 3),
        ("{{ 1 / 0 }}", 1),
        ("one\n{{ value.missing }}", 2),
        ("one\n{{ 'a' + 1 }}", 2),
        ("\n\n{{ range(10**9) }}", 3),
        ('{{ "a" * 10**17 }}', 1),
        ("\n{{ value.__class__ }}", 2),
        ("\n{{ ''.__class__.__mro__ }}", 2),
        ("\n{{ values.append(1) }}", 2),
        ("\n{{ lipsum() }}", 2),
    ],
)
def test_every_fault_names_the_file_and_the_line(folders: tuple[Path, Path], words: str, line: int) -> None:
    """Syntax, a misspelt name, arithmetic, and everything that the sandbox forbids."""
    path = write(folders[0], "email/bad.txt", words)

    with pytest.raises(TemplateError) as caught:
        Templates(folders).render("email/bad.txt", value="x", values=[])

    assert (caught.value.path, caught.value.line) == (path, line)
    assert "\n" not in str(caught.value)


def test_a_misspelt_name_is_answered_with_the_known_ones(folders: tuple[Path, Path]) -> None:
    """The advice lists what the template could have meant."""
    write(folders[0], "a.txt", "{{ titel }}")

    with pytest.raises(TemplateError, match="'titel' is undefined; known here: title, url"):
        Templates(folders).render("a.txt", url="", title="")


def test_a_fault_in_an_included_file_names_that_file(folders: tuple[Path, Path]) -> None:
    """The line belongs to the file in which it stands."""
    inner = write(folders[1], "inner.txt", "\n\n{{ missing }}")
    write(folders[0], "outer.txt", "{% include 'inner.txt' %}")

    with pytest.raises(TemplateError) as caught:
        Templates(folders).render("outer.txt")

    assert (caught.value.path, caught.value.line) == (inner, 3)


def test_a_template_cannot_touch_files(folders: tuple[Path, Path]) -> None:
    """An item carries its path; a template can neither read nor delete what it names."""
    victim = write(folders[0], "victim.md", "keep me")
    write(folders[0], "a.txt", "{{ path.unlink() }}")
    write(folders[0], "b.txt", "{{ path.read_text() }}")

    for name in ("a.txt", "b.txt"):
        with pytest.raises(TemplateError):
            Templates(folders).render(name, path=victim)
    assert victim.read_text() == "keep me"


@pytest.mark.parametrize("name", ["missing.txt", "../victim.md", "/etc/passwd"])
def test_a_missing_template_says_where_it_was_looked_for(folders: tuple[Path, Path], name: str) -> None:
    """No way out of the folders either."""
    write(folders[0].parent, "victim.md", "secret")

    with pytest.raises(TemplateError, match=r"no such template; looked in .*workspace, .*shipped"):
        Templates(folders).render(name)


def test_a_value_is_never_read_as_a_template(folders: tuple[Path, Path]) -> None:
    """Braces in a story are words."""
    write(folders[0], "a.txt", "{{ value }}")

    assert Templates(folders).render("a.txt", value="{{ config }} {% x %}") == "{{ config }} {% x %}"


def test_the_workspace_may_change_single_words(folders: tuple[Path, Path]) -> None:
    """A word of the workspace wins within its language and leaves the other words alone."""
    write(folders[0], "strings/en.toml", 'contents = "Today"\n')

    words = Templates([folders[0], SHIPPED]).strings("en-GB")

    assert words["contents"] == "Today"
    assert words["further_reading"] == "More literature"
