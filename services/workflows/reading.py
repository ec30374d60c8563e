"""What a handler may do, read from its source, path by path: timers, events, states. Pure; nothing runs.

A handler says what it does in few forms (`step.start_timer("accept", ...)`, `step.emit(WorkOrderIssued(...))`,
`change(case, state=ORDERED)`), so they can be read without a second declaration that could lie. Each way through its
branches is a path, with the functions that it calls in its own package read in. Which branch is taken is not known, so
a path may be read that no case ever takes; one that a case takes is always read. What cannot be read, such as a timer
whose name is reckoned, is told and not guessed.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

from schemas.registry import EventData

ANY = "?"
"""A state that is reckoned: which one it is cannot be read."""

PATHS_MAX = 2000
"""Ways through one function; with more than these it is too knotted to be read."""


class Way(NamedTuple):
    """What was done on one path so far."""

    timers: frozenset[tuple[str, bool]] = frozenset()
    """Timer → whether it was started; False: it was stopped. The last word on it."""
    state: str | None = None
    """The state that was set last; None: none was."""
    ended: bool = False
    """Whether the function has returned."""

    def timer(self, name: str, started: bool) -> Way:
        """The same path, with one more timer started or stopped."""
        return self._replace(timers=frozenset({*self.timers, (name, started)} - {(name, not started)}))


@dataclass(slots=True)
class Effects:
    """All that a handler may do."""

    ways: frozenset[Way] = frozenset()
    emits: set[str] = field(default_factory=set)
    """Event types, by name."""
    tells: set[str] = field(default_factory=set)
    """Messages to other cases, by the name of their type."""
    addresses: bool = False
    """Whether it sends an event to one agency (`to=`): whether a person hears of it."""
    unread: set[str] = field(default_factory=set)
    """What could not be read, in words with its line."""

    @property
    def starts(self) -> set[str]:
        """Timers that may run because of it."""
        return {name for way in self.ways for name, started in way.timers if started}

    @property
    def stops(self) -> set[str]:
        """Timers that it may stop."""
        return {name for way in self.ways for name, started in way.timers if not started}

    @property
    def states(self) -> set[str]:
        """States that it may lead to."""
        return {way.state for way in self.ways if way.state is not None}


@cache
def effects_of(handler: Callable[..., Any]) -> Effects:
    """What this handler may do, with the functions that it calls."""
    effects = Effects()
    function = inspect.unwrap(handler)
    if isinstance(function, FunctionType):
        effects.ways = frozenset(_Reader(effects).ways_through(function))
    return effects


def place_of(handler: Callable[..., Any]) -> str:
    """Where a handler stands: `repair.py:162 (acknowledged)`."""
    function = inspect.unwrap(handler)
    code = getattr(function, "__code__", None)
    if code is None:
        return repr(handler)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno} ({function.__name__})"


@cache
def _tree(function: FunctionType) -> ast.FunctionDef | None:
    try:
        found = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, SyntaxError, TypeError, IndexError):
        return None
    return found if isinstance(found, ast.FunctionDef) else None


class _Reader:
    """Reads one handler; `_function` is the function in hand, whose names count."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._within: list[FunctionType] = []
        self._known: dict[FunctionType, set[Way]] = {}

    def ways_through(self, function: FunctionType) -> set[Way]:
        """Every way through a function, by itself."""
        if function in self._known:
            return self._known[function]
        if function in self._within:
            return {Way()}  # it calls itself: what it does is read already
        tree = _tree(function)
        if tree is None:
            self._effects.unread.add(f"the source of {function.__name__} cannot be read")
            return {Way()}
        self._within.append(function)
        ways = {way._replace(ended=False) for way in self._block(tree.body, {Way()})}
        self._within.pop()
        self._known[function] = ways
        return ways

    # -- statements

    def _block(self, body: Iterable[ast.stmt], ways: set[Way]) -> set[Way]:
        for statement in body:
            going = {way for way in ways if not way.ended}
            ways = {way for way in ways if way.ended} | self._statement(statement, going)
            if len(ways) > PATHS_MAX:
                self._unread(statement, f"more than {PATHS_MAX} ways lead through it, too many to read")
                return set(sorted(ways, key=str)[:PATHS_MAX])
        return ways

    def _statement(self, node: ast.stmt, ways: set[Way]) -> set[Way]:
        if isinstance(node, ast.If):
            ways = self._expression(node.test, ways)
            return self._block(node.body, ways) | self._block(node.orelse, ways)
        if isinstance(node, ast.For | ast.While):
            ways = self._expression(node.iter if isinstance(node, ast.For) else node.test, ways)
            return self._block(node.orelse, ways | self._block(node.body, ways))
        if isinstance(node, ast.With):
            for item in node.items:
                ways = self._expression(item.context_expr, ways)
            return self._block(node.body, ways)
        if isinstance(node, ast.Try):
            tried = self._block(node.body, ways)
            for handler in node.handlers:
                tried |= self._block(handler.body, ways)
            return self._block(node.finalbody, self._block(node.orelse, tried))
        if isinstance(node, ast.Match):
            ways = self._expression(node.subject, ways)
            return ways.union(*(self._block(one.body, ways) for one in node.cases))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            return ways
        ways = self._children(node, ways)
        if isinstance(node, ast.Raise):
            return set()  # the case stays as it is
        return {way._replace(ended=True) for way in ways} if isinstance(node, ast.Return) else ways

    # -- expressions, in the order in which they are reckoned

    def _expression(self, node: ast.AST, ways: set[Way]) -> set[Way]:
        if isinstance(node, ast.IfExp):
            ways = self._expression(node.test, ways)
            return self._expression(node.body, ways) | self._expression(node.orelse, ways)
        if isinstance(node, ast.Lambda):
            return ways
        ways = self._children(node, ways)
        return self._call(node, ways) if isinstance(node, ast.Call) else ways

    def _children(self, node: ast.AST, ways: set[Way]) -> set[Way]:
        for child in ast.iter_child_nodes(node):
            ways = self._expression(child, ways)
        return ways

    def _call(self, call: ast.Call, ways: set[Way]) -> set[Way]:
        names = self._within[-1].__globals__
        ways = self._state_set(call, names, ways)
        if isinstance(call.func, ast.Attribute):
            return self._verb(call.func.attr, call, names, ways)
        called = names.get(call.func.id) if isinstance(call.func, ast.Name) else None
        package = self._within[0].__module__.partition(".")[0]
        if not isinstance(called, FunctionType) or called.__module__.partition(".")[0] != package:
            return ways
        return {_after(way, then) for then in self.ways_through(called) for way in ways}

    def _verb(self, verb: str, call: ast.Call, names: dict[str, Any], ways: set[Way]) -> set[Way]:
        if verb in ("start_timer", "stop_timer"):
            for argument in call.args[:1] if verb == "start_timer" else call.args:
                name = _text(argument, names)
                if name is None:
                    self._unread(call, "the timer's name is reckoned, so it cannot be checked")
                else:
                    ways = {way.timer(name, verb == "start_timer") for way in ways}
        elif verb in ("emit", "tell"):
            data = call.args[verb == "tell"] if len(call.args) > (verb == "tell") else None
            kind = names.get(data.func.id) if isinstance(data, ast.Call) and isinstance(data.func, ast.Name) else None
            if isinstance(kind, type) and issubclass(kind, EventData):
                (self._effects.emits if verb == "emit" else self._effects.tells).add(kind.registered.name)
            self._effects.addresses |= verb == "tell" or any(keyword.arg == "to" for keyword in call.keywords)
        return ways

    def _state_set(self, call: ast.Call, names: dict[str, Any], ways: set[Way]) -> set[Way]:
        for keyword in call.keywords:
            if keyword.arg == "state":
                value = keyword.value
                branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                states = [state for branch in branches if (state := _text(branch, names)) is not None]
                if len(states) < len(branches):
                    states.append(ANY)  # such as a state that the case remembers
                if states:
                    ways = {way._replace(state=state) for way in ways for state in states}
        return ways

    def _unread(self, node: ast.AST, problem: str) -> None:
        code = self._within[-1].__code__
        line = code.co_firstlineno + getattr(node, "lineno", 1) - 1
        self._effects.unread.add(f"{Path(code.co_filename).name}:{line}: {problem}")


def _after(way: Way, then: Way) -> Way:
    for name, started in then.timers:
        way = way.timer(name, started)
    return way._replace(state=then.state) if then.state is not None else way


def _text(node: ast.expr, names: dict[str, Any]) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    found = names.get(node.id) if isinstance(node, ast.Name) else None
    return found if isinstance(found, str) else None
