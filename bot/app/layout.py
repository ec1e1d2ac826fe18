"""The frame of every public page: what ``templates/web/layout.html`` must know, served or built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bot.app.branding import STYLE, logo_name
from bot.config import Settings
from bot.rendering.languages import FALLBACK, fill, native_name
from bot.rendering.templates import Templates


def as_it_is(path: str) -> str:
    """The address of a path on a site that is served from its root."""
    return path


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Makes pages. ``link`` turns a path of the site into an address that works on the page."""

    settings: Settings
    templates: Templates
    link: Callable[[str], str] = as_it_is
    signup: bool = True  # whether the page may lead to /subscribe

    @cached_property
    def languages(self) -> Mapping[str, str]:
        """The languages that the pages speak, each by its own name; the publication's own comes first."""
        found = {
            path.stem for folder in self.templates.folders for path in (folder / "strings").glob("*.toml")
        }
        first = self.speaks(self.settings.publication.language)
        return {tag: native_name(tag) for tag in sorted(found, key=lambda tag: (tag != first, tag))}

    def speaks(self, lang: str) -> str:
        """The language of the pages that comes nearest to this one."""
        return self.templates.strings(lang)["lang"] if lang else FALLBACK

    def exit_url(self, lang: str) -> str:
        """Where "Leave this site quickly" leads in this language."""
        exits = self.settings.site.quick_exits
        return exits.get(lang) or exits.get(lang.partition("-")[0]) or self.settings.site.quick_exit

    def page(self, template: str, lang: str, /, **values: object) -> str:
        """The page ``templates/web/<template>.html`` with the house's words in this language."""
        words = self.templates.strings(lang)
        frame: dict[str, object] = {
            "words": words,
            "lang": words["lang"],
            "dir": words["dir"],
            "publication": self.settings.publication.value,
            "brand": f"/static/{STYLE}" if self.settings.publication.color else "",
            "logo": f"/static/{name}" if (name := logo_name(self.settings.publication)) else "",
            "masthead": self.settings.publication.title,
            "exit_url": self.exit_url(words["lang"]),
            "privacy_url": self.settings.site.privacy_url,
            "rehearsal": self.settings.mode == "rehearsal",
            "signup": self.signup,
            "others": (),  # the same page in other languages: (tag, its name, path)
            "link": self.link,
            "fill": fill,
        }
        return self.templates.render(f"web/{template}.html", **frame | values)
