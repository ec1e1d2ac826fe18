"""The publication's colour and logo: what bot.toml may say, what pages load, and that both can be read."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import httpx
import pytest

from bot.app.building import build
from bot.app.workspace import Workspace
from bot.errors import ConfigError
from bot.model import hex_color
from bot.rendering.colors import contrast, readable, text_on
from tests.support.site import make_site, served

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><path d='M0 0h8v8H0z'/></svg>"
GROUNDS = ("#ffffff", "#f8f4eb", "#efe6d3"), ("#15181a", "#1d2124", "#262b2e")


def branded(here: Path, *lines: str) -> Path:
    root = make_site(here)
    toml = root / "bot.toml"
    toml.write_text(toml.read_text().replace("[publication]\n", "[publication]\n" + "\n".join(lines) + "\n"))
    return root


@pytest.mark.parametrize("color", ["#0b5", "#ffee00", "#000000", "#ffffff", "#808080", "#1b5265", "#FF0000"])
def test_every_colour_has_a_shade_that_can_be_read(color: str) -> None:
    """On light and dark grounds, and text on the shade; a colour that can be read already stays as it is."""
    for grounds in GROUNDS:
        shade = readable(color, *grounds)

        assert min(contrast(shade, ground) for ground in grounds) >= 4.5
        assert contrast(text_on(shade), shade) >= 4.5
        assert readable(shade, *grounds) == shade


def test_contrast_is_that_of_wcag() -> None:
    """The figures of its own examples."""
    assert round(contrast("#000", "#fff"), 2) == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48
    assert round(contrast("#0000ff", "#ffffff"), 2) == 8.59


def test_short_and_long_colours_are_the_same() -> None:
    assert hex_color("#0B5") == hex_color("#00bb55") == "#00bb55"


@pytest.mark.parametrize("color", ["green", "#12", "#12345g", "0b5", "#0b5;}", "rgb(1,2,3)"])
def test_what_is_no_colour_is_told_with_an_example(tmp_path: Path, color: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a colour; write '#' and six digits") as caught:
        Workspace(branded(tmp_path / "w", f'color = "{color}"'))

    assert "publication.color" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("logo.png", None, "cannot be read"),
        ("logo.png", SVG, "not a picture that mail can show"),
        ("logo.gif", PNG, "logo.gif holds PNG; give it the ending of what it holds"),
        ("logo.svg", PNG, "logo.svg is no SVG"),
        ("logo.svg", SVG.replace(b"<path", b"<script>1</script><path"), "does more than show a picture"),
        ("logo.svg", SVG.replace(b"<path", b"<path onclick='x()'"), "does more than show a picture"),
        ("logo.svg", SVG.replace(b"<path", b"<image href='https://evil.example/'/><path"), "does more than"),
        ("logo.png", PNG + bytes(400_000), "too large"),
        ("logo.txt", PNG, "is no picture; use .png"),
        ("/etc/logo.png", None, "leads out of the workspace"),
        ("../logo.png", None, "leads out of the workspace"),
    ],
)
def test_a_logo_that_cannot_be_used_is_told(
    tmp_path: Path, name: str, content: bytes | None, told: str
) -> None:
    """When bot.toml is read, before anything is done."""
    root = branded(tmp_path / "w", f'logo = "{name}"')
    if content is not None:
        (root / name).write_bytes(content)

    with pytest.raises(ConfigError, match=re.escape(told)) as caught:
        Workspace(root)

    assert "publication.logo" in str(caught.value)


def test_attack_a_logo_that_is_a_link_to_a_file_elsewhere_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    root = branded(tmp_path / "w", 'logo = "logo.png"')
    (root / "logo.png").symlink_to(tmp_path / "secret.png")

    with pytest.raises(ConfigError, match="cannot be read"):
        Workspace(root)


@pytest.mark.parametrize(("name", "content", "kind"), [("a.PNG", PNG, "png"), ("a.svg", SVG, "svg+xml")])
def test_pages_show_colour_and_logo_served_and_built(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    """From /static, the same bytes, under the same policy; a page that must not say the title has no logo."""
    root = branded(tmp_path / "w", 'color = "#0b5"', f'logo = "{name}"')
    (root / name).write_bytes(content)
    with served(root) as site:
        front = httpx.get(f"{site.url}/issues/weekly")
        found = {file: httpx.get(site.url + file) for file in re.findall(r"/static/[\w.]+", front.text)}
        safely = httpx.get(f"{site.url}/reading-safely/en").text
        build(site.workspace, tmp_path / "built")
    logo = f"/static/logo{Path(name).suffix.lower()}"

    assert f'src="{logo}" lang="en" alt="News of the Harbour"' in front.text
    assert found[logo].headers["content-type"] == f"image/{kind}"
    assert "default-src 'none'" in found[logo].headers["content-security-policy"]
    assert all(answer.status_code == 200 for answer in found.values())
    for file, answer in found.items():
        assert (tmp_path / "built" / file.lstrip("/")).read_bytes() == answer.content
    accents = re.findall(r"--accent: (#[0-9a-f]{6})", found["/static/brand.css"].text)
    assert len(accents) == 2
    assert logo not in safely
    built = (tmp_path / "built" / "issues" / "weekly" / "index.html").read_text()
    assert f'src="../..{logo}"' in built
    assert "style=" not in front.text


def test_without_colour_and_logo_pages_load_neither(tmp_path: Path) -> None:
    with served(make_site(tmp_path / "w")) as site:
        front = httpx.get(site.url).text
        style = httpx.get(f"{site.url}/static/brand.css")

    assert "brand.css" not in front
    assert "logo" not in front
    assert style.status_code == 404
