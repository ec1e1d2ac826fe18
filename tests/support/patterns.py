"""Every regular expression of the house, found by itself: what it is, where it stands, how it is asked."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import regex

HOUSE = Path(__file__).parents[2] / "bot"
ASKED = frozenset({"match", "fullmatch", "search", "findall", "finditer", "split", "sub", "subn"})
ENGINES = {"re": re, "regex": regex}
NOT_IMPORTED = frozenset({"__main__.py", "env.py"})  # they run when they are imported
COMPILED = (re.Pattern, regex.Pattern)
_FLAGS_AT = {"compile": 1, "split": 3, "sub": 4, "subn": 4}  # else 2


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One pattern and the ways it is asked: a search is another thing than a match at the beginning."""

    place: str
    compiled: Any = field(compare=False)
    asked: tuple[str, ...]

    def __str__(self) -> str:
        return self.place


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A pattern that is made of values which are known at run time only: somebody has to give an example."""

    place: str
    engine: str
    asked: str


def patterns_and_composed(house: Path = HOUSE) -> tuple[list[Pattern], list[Composed]]:
    """All patterns of the modules below ``house``, and the calls whose pattern is not known beforehand."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(house.rglob("*.py"))}
    found: dict[tuple[object, int], Pattern] = {}
    composed: list[Composed] = []
    for path, tree in trees.items():
        if path.name in NOT_IMPORTED and not list(_calls(tree)):
            continue
        module = _module(path, house)
        short = str(path.relative_to(house.parent))
        for call, engine, function, where in _calls(tree):
            compiled = _compiled(call, engine, function, module)
            place = f"{short}:{where}"
            if compiled is None:
                composed.append(Composed(place=place, engine=engine, asked=function))
            elif function != "compile":
                _add(found, Pattern(place=place, compiled=compiled, asked=(function,)))
            elif asked := _asked_at_once(tree, call):
                _add(found, Pattern(place=place, compiled=compiled, asked=(asked,)))
            elif not _has(module, compiled):
                _add(found, Pattern(place=place, compiled=compiled, asked=("finditer",)))
        own = _assigned(tree)
        for name, compiled in _kept(module):
            if name not in own:
                continue  # imported: found where it is made
            where = [tree] if name.startswith("_") else list(trees.values())
            _add(found, Pattern(place=f"{short}:{name}", compiled=compiled, asked=_asked(name, where)))
    return list(found.values()), composed


def _add(found: dict[tuple[object, int], Pattern], pattern: Pattern) -> None:
    key = (pattern.compiled.pattern, pattern.compiled.flags)
    before = found.get(key)
    asked = tuple(sorted({*pattern.asked, *(before.asked if before else ())}))
    place = before.place if before else pattern.place
    found[key] = Pattern(place=place, compiled=pattern.compiled, asked=asked)


def _module(path: Path, house: Path) -> ModuleType:
    parts = path.relative_to(house.parent).with_suffix("").parts
    return importlib.import_module(".".join(part for part in parts if part != "__init__"))


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str, str, str]]:
    """Each call of the two engines, and the function or the name that it belongs to."""

    def walk(node: ast.AST, where: str) -> Iterator[tuple[ast.Call, str, str, str]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            where = f"{where}.{node.name}".strip(".")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and not where:
            where = node.targets[0].id
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of, function = node.func.value, node.func.attr
            if isinstance(of, ast.Name) and of.id in ENGINES and function in ASKED | {"compile"}:
                yield node, of.id, function, where
        for child in ast.iter_child_nodes(node):
            yield from walk(child, where)

    return walk(tree, "")


def _compiled(call: ast.Call, engine: str, function: str, module: ModuleType) -> Any | None:
    """The pattern of a call where its module knows all of it; None where it is made of arguments."""
    at = _FLAGS_AT.get(function, 2)
    given: list[ast.expr] = [word.value for word in call.keywords if word.arg == "flags"] or call.args[
        at : at + 1
    ]
    named = {node.id for node in ast.walk(call.args[0]) if isinstance(node, ast.Name)}
    if not named <= set(vars(module)) | set(dir(__builtins__)):
        return None
    pattern, flags = (_value(node, module) for node in (call.args[0], given[0] if given else ast.Constant(0)))
    if isinstance(pattern, COMPILED):
        return pattern
    return ENGINES[engine].compile(pattern, flags)


def _value(node: ast.expr, module: ModuleType) -> Any:
    return eval(
        compile(ast.Expression(ast.fix_missing_locations(node)), "<pattern>", "eval"), dict(vars(module))
    )


def _asked_at_once(tree: ast.Module, call: ast.Call) -> str:
    """``re.compile(...).fullmatch``: the way it is asked."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.value is call and node.attr in ASKED:
            return node.attr
    return ""


def _kept(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The compiled patterns that a module's own names hold, in whatever they are packed."""
    for name, value in vars(module).items():
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            held = [
                (each, getattr(value, each)) for each in value.__dataclass_fields__
            ]  # asked by the field's name
        else:
            held = [(name, value)]
        yield from ((called, compiled) for called, each in held for compiled in _inside(each, 3))


def _inside(value: object, depth: int) -> Iterator[Any]:
    if isinstance(value, COMPILED):
        yield value
    elif depth and isinstance(value, dict):
        yield from (found for each in (*value, *value.values()) for found in _inside(each, depth - 1))
    elif depth and isinstance(value, list | tuple | set | frozenset):
        yield from (found for each in value for found in _inside(each, depth - 1))
    elif isinstance(getattr(value, "__self__", None), COMPILED):
        yield value.__self__  # type: ignore[attr-defined]


def _assigned(tree: ast.Module) -> set[str]:
    return {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _has(module: ModuleType, compiled: Any) -> bool:
    same = (compiled.pattern, compiled.flags)
    return any((each.pattern, each.flags) == same for _, each in _kept(module))


def _asked(name: str, trees: Sequence[ast.Module]) -> tuple[str, ...]:
    """The ways a name is asked; handed on to somebody else, it may be asked for everything."""
    found: set[str] = set()
    for tree in trees:
        bases: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in ASKED and _is(node.value, name):
                found.add(node.attr)
                bases.add(id(node.value))
            elif isinstance(node, ast.Attribute) and node.attr == "pattern" and _is(node.value, name):
                bases.add(id(node.value))
        if any(_is(node, name) and id(node) not in bases and _is_read(node) for node in ast.walk(tree)):
            found.add(_bound(tree, name) or "finditer")
    bound = next((way for tree in trees if (way := _bound(tree, name))), "finditer")
    return tuple(sorted(found)) or (bound,)


def _bound(tree: ast.Module, name: str) -> str:
    """``name = re.compile(...).fullmatch``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and any(_is(target, name) for target in node.targets):
            value = node.value
            if isinstance(value, ast.Attribute) and value.attr in ASKED:
                return value.attr
    return ""


def _is(node: ast.AST, name: str) -> bool:
    return (isinstance(node, ast.Name) and node.id == name) or (
        isinstance(node, ast.Attribute) and node.attr == name
    )


def _is_read(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Load)
