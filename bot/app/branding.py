"""The publication's colour and logo: checked when bot.toml is read, and the files that pages load."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from bot.config import FILE
from bot.config.tables import PublicationTable
from bot.errors import ConfigError
from bot.metadata import mime_type, without_metadata
from bot.rendering.colors import readable, text_on
from bot.rendering.pictures import UnusablePictureError, content_in, picture_in
from bot.rendering.templates import Templates

STYLE = "brand.css"
LOGO_BYTES = 300_000  # it goes along with every mail
_KINDS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}

# What could do more than show a picture when the file is opened by itself.
_ACTIVE = re.compile(
    rb"<script|<foreignobject|<iframe|<!entity|\bon[a-z]++\s*+=|javascript:|\bhref\s*+=\s*+[\"'](?!#|data:image/)",
    re.IGNORECASE,
)


def logo_file(root: Path, publication: PublicationTable) -> Path | None:
    """The logo in the workspace, or None where bot.toml names none. ConfigError when it cannot be shown."""
    if not publication.logo:
        return None
    path = root / publication.logo
    try:
        if path.suffix.lower() == ".svg":
            _check_svg(root, path)
        else:
            _check_picture(root, path)
    except UnusablePictureError as error:
        raise ConfigError(root / FILE, "publication.logo", error.problem, error.advice) from error
    return path


def _check_picture(root: Path, path: Path) -> None:
    picture = picture_in(root, path, called="logo", max_bytes=LOGO_BYTES)
    if picture.mime_type != _KINDS[path.suffix.lower()]:
        kind = picture.mime_type.removeprefix("image/").upper()
        raise UnusablePictureError(f"{path.name} holds {kind}", "give it the ending of what it holds")


def _check_svg(root: Path, path: Path) -> None:
    try:
        content = content_in(root, path, max_bytes=LOGO_BYTES)
    except OSError as error:
        why = error.strerror or error
        raise UnusablePictureError(f"logo {path.name} cannot be read: {why}", "mend 'logo'") from error
    if mime_type(content) or b"<svg" not in content[:2_000].lower():
        raise UnusablePictureError(f"{path.name} is no SVG", "give it the ending of what it holds")
    if active := _ACTIVE.search(content):
        raise UnusablePictureError(
            f"{path.name} holds {active[0].decode()!r}, which does more than show a picture",
            "export it as a plain SVG or a PNG",
        )


def logo_name(publication: PublicationTable) -> str:
    """What the pages call it, whatever the file is called; empty where there is none."""
    return f"logo{Path(publication.logo).suffix.lower()}" if publication.logo else ""


def brand_files(root: Path, publication: PublicationTable, templates: Templates) -> Mapping[str, bytes]:
    """What bot.toml adds to the files under ``/static/``, by name."""
    files: dict[str, bytes] = {}
    if publication.color:
        style = templates.render(f"web/{STYLE}", color=publication.color, readable=readable, text_on=text_on)
        files[STYLE] = style.encode()
    if path := logo_file(root, publication):
        content = path.read_bytes()
        files[logo_name(publication)] = (without_metadata(content) if mime_type(content) else None) or content
    return files
