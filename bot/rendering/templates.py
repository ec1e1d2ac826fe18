"""Finding and rendering templates: Jinja2 in a sandbox, the workspace's files before the shipped ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bot.errors import TemplateError
from bot.files import file_inside
from bot.rendering.languages import strings

# What a template can cause at run time besides Jinja's own errors: 1/0, "a" + 1, range(10**9), recursion,
# "a" * 10**15.
_ACCIDENTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, and nothing of a path: an item knows its file; a template must not open it."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return not isinstance(obj, PurePath) and super().is_safe_attribute(obj, attr, value)


class _Loader(jinja2.FileSystemLoader):
    """Reads no file to which a link leads out of the templates."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__([str(folder) for folder in folders])
        self._folders = folders

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        _first_file(self._folders, template)
        return super().get_source(environment, template)


def _first_file(folders: Sequence[Path], name: str) -> Path | None:
    return next((path for folder in folders if (path := file_inside(folder, name))), None)


class Templates:
    """The templates of a workspace. ``folders`` from strong to weak: the workspace's, then the shipped."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)
        self._strings: Callable[[str], Mapping[str, str]] = partial(strings, folders=self.folders)
        self._env = _Sandbox(
            loader=_Loader(self.folders),
            undefined=jinja2.StrictUndefined,
            autoescape=is_escaped,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        # Only what a template needs: no lipsum, no cycler.
        self._env.globals = {
            name: self._env.globals[name] for name in ("range", "dict", "namespace", "joiner")
        }

    def render(self, name: str, /, **values: object) -> str:
        """The template's words. Every fault of the template is a TemplateError with its file and line."""
        try:
            return self._env.get_template(name).render(values)
        except jinja2.TemplateNotFound as error:
            raise self._missing(str(error.name or name)) from error
        except jinja2.TemplateSyntaxError as error:
            path = error.filename or self.path(name) or name
            raise TemplateError(path, line=error.lineno, problem=error.message or "cannot be read") from error
        except (jinja2.TemplateError, *_ACCIDENTS) as error:
            path, line = self._place(error.__traceback__, name)
            raise TemplateError(
                path, line=line, problem=_problem(error), advice=_advice(error, values)
            ) from error

    def exists(self, name: str) -> bool:
        """Whether a folder has a template of this name."""
        return self.path(name) is not None

    def path(self, name: str) -> Path | None:
        """The file that stands for this name: the first folder that has it wins.

        UserError when a link leads to a file elsewhere: it could publish any file of this machine.
        """
        return _first_file(self.folders, name)

    def strings(self, lang: str) -> Mapping[str, str]:
        """The house's own words in this language, in English where they are not translated."""
        return self._strings(lang)

    def settled(self) -> Templates:
        """The same for many pages in one go: files are not looked at again."""
        same = Templates(self.folders)
        same._strings = cache(same._strings)
        same._env.auto_reload = False
        return same

    def _missing(self, name: str) -> TemplateError:
        places = ", ".join(str(folder) for folder in self.folders)
        return TemplateError(name, problem="there is no such template", advice=f"looked in {places}")

    def _place(self, trace: TracebackType | None, name: str) -> tuple[Path, int]:
        """The innermost template line in the traceback: Jinja gives its frames the template's own lines."""
        found = (self.path(name) or Path(name), 0)
        while trace:
            file = Path(trace.tb_frame.f_code.co_filename)
            if any(file.is_relative_to(folder) for folder in self.folders):
                found = (file, trace.tb_lineno)
            trace = trace.tb_next
        return found


def is_escaped(name: str | None) -> bool:
    """Plain text (``.txt``) is written as it is; everything else is markup, and values in it are escaped."""
    return not (name or "").endswith(".txt")


def _problem(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _advice(error: Exception, values: Mapping[str, object]) -> str:
    if not isinstance(error, jinja2.UndefinedError):
        return ""
    return f"known here: {', '.join(sorted(values))}"
