"""The archive as a folder of files for any web space, complete or untouched.

The new folder is made beside the old one and takes its place in one step. Files that did not change are the
same files as before, with their time, so that whatever uploads the folder has little to do. A list of what
we made lies in the folder: other people's files in it (``CNAME``, ``.git``) stay, ours that are gone go.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from filelock import FileLock, Timeout

import bot
from bot.app.archive import read_archive
from bot.app.branding import brand_files
from bot.app.layout import Layout
from bot.app.site import HTML, Link, Page, Site
from bot.app.syndication import whole
from bot.app.webspace import MANIFEST, Entry, keep_others, listed, placed, read_manifest, swap, taken_over
from bot.app.workspace import Workspace
from bot.config import Settings
from bot.errors import BusyError
from bot.files import OWNER, file_inside, make_private_folder
from bot.rendering.templates import Templates

FILES = ("/static/", "/feeds/", "/pictures/", "/search/", "/sitemap.xml", "/robots.txt", "/404.html")
SERVED = ("/subscribe", "/u/", "/p/", "/c/")  # what only ``bot serve`` can answer

# A file has no headers: the page itself says what it may load. The guard's policy, and the index of search.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'"
)
_MAKERS = ("archive", "building", "layout", "pictures", "site", "syndication")


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What a build did."""

    folder: Path
    pages: int
    written: int
    kept: int
    removed: int


def build(workspace: Workspace, folder: Path, *, plain_files: bool = False, dry_run: bool = False) -> Built:
    """Make the folder what the archive is now.

    With ``plain_files`` its links name files and not folders: it can be read from a disk, without a server.
    UserError when the folder is somebody else's, BusyError when another build is at work on it.
    """
    folder = folder.resolve()
    old = read_manifest(folder)
    layout = Layout(
        settings=workspace.settings,
        templates=workspace.templates.settled(),
        signup=workspace.settings.site.signup,
    )
    pages = whole(Site(archive=read_archive(workspace), layout=layout, built=True))
    with _place_beside(folder, workspace.state_folder, dry_run=dry_run) as beside:
        new = dict(_made(pages, workspace.settings, layout, old, folder, beside, plain_files=plain_files))
        new |= dict(_static(_static_files(workspace), old, folder, beside))
        if not dry_run and (new != old or not folder.exists()):
            keep_others(folder, beside, old.keys() | new.keys())
            (beside / MANIFEST).write_text(listed(new), "utf-8")
            swap(beside, folder)
    kept = sum(name in old and old[name][1] == entry[1] for name, entry in new.items())
    return Built(
        folder=folder,
        pages=sum(page.kind == HTML for page in pages.values()),
        written=len(new) - kept,
        kept=kept,
        removed=len(old.keys() - new.keys()),
    )


@contextmanager
def _place_beside(folder: Path, state: Path, *, dry_run: bool) -> Iterator[Path]:
    """An empty folder that is gone afterwards; next to the real one, so that they can change places."""
    if dry_run:
        with tempfile.TemporaryDirectory() as elsewhere:
            yield Path(elsewhere) / folder.name
        return
    make_private_folder(state)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.new")
    try:
        with FileLock(state / "build.lock", mode=OWNER, timeout=0):
            shutil.rmtree(beside, ignore_errors=True)
            try:
                beside.mkdir()
                yield beside
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    except Timeout as error:
        raise BusyError(f"another 'bot build' is at work on {folder}; wait for its end") from error


# --------------------------------------------------------------------------- what is made


def _made(
    pages: Mapping[str, Page],
    settings: Settings,
    layout: Layout,
    old: Mapping[str, Entry],
    folder: Path,
    beside: Path,
    *,
    plain_files: bool,
) -> Iterator[tuple[str, Entry]]:
    """Each page's file: the old one where its contents are made from the same, else a new one."""
    base = _digest(_frame_of(settings, layout.templates), plain_files)
    for page in pages.values():
        name = file_of(page.path)
        cause = _digest(base, page.path, page.about) if page.about is not None else ""
        before = old.get(name)
        if cause and before and before[0] == cause and taken_over(folder / name, beside / name, before[1]):
            yield name, before
            continue
        content = page.make(_link_from(page.path, settings.publication.site_url, plain_files=plain_files))
        if page.kind == HTML:
            content = with_policy(content)
        yield name, [cause, placed(content, folder / name, beside / name, before)]


def _static(
    files: Mapping[str, bytes], old: Mapping[str, Entry], folder: Path, beside: Path
) -> Iterator[tuple[str, Entry]]:
    for name, content in files.items():
        place = f"static/{name}"
        yield place, ["", placed(content, folder / place, beside / place, old.get(place))]


def _static_files(workspace: Workspace) -> Mapping[str, bytes]:
    """The contents of everything under ``/static/``, by name."""
    styles = {name: path.read_bytes() for name, path in _styles(workspace.templates).items()}
    return styles | dict(brand_files(workspace.root, workspace.settings.publication, workspace.templates))


def _styles(templates: Templates) -> Mapping[str, Path]:
    """The files of ``templates/web/static``; the workspace's own win over the shipped ones."""
    found: dict[str, Path] = {}
    for place in reversed(templates.folders):
        found |= {path.name: path for path in _files(place, "web/static/*.*")}
    return found


def _files(folder: Path, pattern: str) -> list[Path]:
    """UserError when one of them is a link to a file outside the folder."""
    names = (path.relative_to(folder).as_posix() for path in sorted(folder.glob(pattern)))
    return [path for name in names if (path := file_inside(folder, name))]


def with_policy(page: bytes) -> bytes:
    """The page with its policy as its first word."""
    charset = b'<meta charset="utf-8">\n'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'.encode()
    return page.replace(charset, charset + policy, 1)


def _frame_of(settings: Settings, templates: Templates) -> tuple[object, ...]:
    """What every page depends on: bot.toml as far as it shows, the templates, the program."""
    files = [
        (path.relative_to(place).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for place in templates.folders
        for kind in ("web/*.html", "strings/*.toml")
        for path in _files(place, kind)
    ]
    code = Path(bot.__file__).parent
    program = [
        (path.name, path.read_bytes())
        for kind in ("rendering/*.py", *(f"app/{name}.py" for name in _MAKERS))
        for path in sorted(code.glob(kind))
    ]
    return (settings.publication, settings.site, settings.mode, files, _digest(program))


def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode("utf-8", "surrogatepass")).hexdigest()


# --------------------------------------------------------------------------- addresses


def file_of(path: str) -> str:
    """The file that a web space shows at this path."""
    inner = path.strip("/")
    if path.startswith(FILES):
        return inner
    return f"{inner}/index.html" if inner else "index.html"


def _link_from(path: str, site_url: str, *, plain_files: bool) -> Link:
    """Addresses relative to the page, so that the site works in any folder; the 404 page stands anywhere."""
    up = "../" * file_of(path).count("/")
    if path == "/404.html":
        up = f"{urlsplit(site_url).path}/"

    def link(to: str) -> str:
        if to.startswith(SERVED):
            return site_url + to
        place, _, rest = to.partition("?")
        name = file_of(place)
        if not plain_files:
            name = name.removesuffix("index.html")
        return (quote(up + name) or "./") + (f"?{rest}" if rest else "")

    return link
