"""`subak new`: the beginnings of new parts, in the right files, so that only what is particular is left to write.

`event-type` works in a source tree: it adds a class to the module of its domain, examples beside it, and says what
comes next. What it writes passes every check but one: the description is still to be said.
"""

from __future__ import annotations

import ast
import json
import keyword
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

import schemas
import schemas.types
from schemas.attributes import GRAMMARS
from schemas.failures import Misconfigured
from schemas.publishing import SKELETON_DESCRIPTION
from schemas.registry import Kind, Publisher, registry

app = typer.Typer(no_args_is_help=True, help="Begin a new part.")

assert schemas.types  # importing it fills the registry

_PREFIXES = {"workorder": "WorkOrder"}
"""How class names begin, where that is not the domain with a capital."""

_LINE_LENGTH = 110


@app.callback()
def _several() -> None:
    """Begin a new part."""


@app.command("event-type")
def event_type(
    name: Annotated[str, typer.Argument(help="Such as subak.request.photographed.v1.")],
    owner: Annotated[
        str, typer.Option(help="Who decides on its schema: citizens-channel, finance, public-works, bus.")
    ],
    publisher: Annotated[str, typer.Option(help="Who may publish it: agency, bus or any.")] = "agency",
    kind: Annotated[str, typer.Option(help="event (a fact) or command (an order to one agency).")] = "event",
    opens_case: Annotated[bool, typer.Option("--opens-case", help="It may be a case's first event.")] = False,
    root: Annotated[Path, typer.Option(help="The source tree. Default: the one that runs.", hidden=True)] = Path(),
) -> None:
    """Add the skeleton of an event type: its class, two valid and two refused examples."""
    _check(name, publisher, kind)
    tree = _tree(root)
    module = _module(name, tree)
    class_name = class_name_of(name)
    path = tree / "schemas" / "types" / f"{module}.py"
    marks = "".join(
        text
        for text, said in (
            (f', publisher="{publisher}"', publisher != "agency"),
            (f', kind="{kind}"', kind != "event"),
            (", opens_case=True", opens_case),
        )
        if said
    )
    _add_class(path, name, class_name, f'owner="{owner}"{marks}')
    _add_import(path.parent / "__init__.py", module, class_name)
    examples = tree / "schemas" / "examples" / name
    _add_examples(examples)
    print(f"wrote {class_name} in {path.relative_to(tree)}, and examples in {examples.relative_to(tree)}")
    print("\n".join(_next_steps(name, class_name, path.relative_to(tree))))


def class_name_of(name: str) -> str:
    """`RequestPhotographed` for `subak.request.photographed.v1`; later versions say so: `RequestPhotographedV2`."""
    _, domain, event, version = name.split(".")
    later = "" if version == "v1" else version.upper()
    return _PREFIXES.get(domain, domain.capitalize()) + event.capitalize() + later


def _check(name: str, publisher: str, kind: str) -> None:
    grammar = GRAMMARS["type"]
    if not grammar.accepts(name):
        raise Misconfigured(f"{grammar.problem}: {name!r}. {grammar.fix}")
    if name in registry:
        raise Misconfigured(f"there is an event type {name} already: `subak schemas show {name}` shows it")
    if publisher not in get_args(Publisher):
        raise Misconfigured(f"--publisher is one of {', '.join(get_args(Publisher))}, not {publisher!r}")
    if kind not in get_args(Kind):
        raise Misconfigured(f"--kind is one of {', '.join(get_args(Kind))}, not {kind!r}")


def _tree(root: Path) -> Path:
    tree = root.resolve() if root != Path() else Path(schemas.__file__).parent.parent
    if not (tree / "pyproject.toml").is_file() or not (tree / "schemas" / "types" / "__init__.py").is_file():
        raise Misconfigured(f"{tree} is not a source tree of Subak: run this in a clone, after `make setup`")
    return tree


def _module(name: str, tree: Path) -> str:
    """The module that holds the domain's types; a new one where the domain is new."""
    domain = name.split(".")[1]
    found = sorted((tree / "schemas" / "types").glob("*.py"), key=lambda path: (path.stem != f"{domain}s", path))
    for path in found:
        if f'@event_type("subak.{domain}.' in path.read_text(encoding="utf-8"):
            return path.stem
    module = f"{domain}s"
    return f"{module}_" if keyword.iskeyword(module) else module


def _add_class(path: Path, name: str, class_name: str, arguments: str) -> None:
    if path.is_file():
        text = path.read_text(encoding="utf-8")
    else:
        domain = name.split(".")[1].capitalize()
        text = f'"""{domain}: say here what these events are about."""\n\nfrom __future__ import annotations\n'
    for source, wanted in (("schemas.registry", ("EventData", "event_type")), ("schemas.values", ("Text1000",))):
        text = _with_import(text, source, wanted)
    text += f'''

@event_type("{name}", {arguments})
class {class_name}(EventData):
    """{SKELETON_DESCRIPTION}"""

    reason: Text1000 | None = None
    """Why."""
'''
    path.write_text(text, encoding="utf-8")


def _add_import(path: Path, module: str, class_name: str) -> None:
    text = _with_import(path.read_text(encoding="utf-8"), f"schemas.types.{module}", (class_name,))
    body = ast.parse(text).body
    listed = next(each for each in body if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__all__")
    names = sorted({*ast.literal_eval(listed.value), class_name})
    written = "__all__ = [\n" + "".join(f'    "{each}",\n' for each in names) + "]"
    path.write_text(_replaced(text, listed, written), encoding="utf-8")


def _with_import(text: str, source: str, wanted: tuple[str, ...]) -> str:
    """`text` with these names imported from `source`, in the order that the linter asks for."""
    imports = [each for each in ast.parse(text).body if isinstance(each, ast.ImportFrom)]
    for each in imports:
        if each.module == source:
            return _replaced(text, each, _import(source, {*wanted, *(alias.name for alias in each.names)}))
    own = [each for each in imports if (each.module or "").startswith("schemas.")]
    before = [each for each in own if (each.module or "") < source]
    lines = text.splitlines()
    if before:
        at, written = before[-1].end_lineno or 0, [_import(source, set(wanted))]
    elif own:
        at, written = own[0].lineno - 1, [_import(source, set(wanted))]
    else:
        at, written = imports[-1].end_lineno or 0, ["", _import(source, set(wanted))]
    return "\n".join([*lines[:at], *written, *lines[at:]]) + "\n"


def _import(source: str, names: set[str]) -> str:
    ordered = sorted(names, key=lambda name: (name[:1].islower(), [int(p) if p.isdigit() else p for p in _parts(name)]))
    line = f"from {source} import {', '.join(ordered)}"
    if len(line) <= _LINE_LENGTH:
        return line
    return f"from {source} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"


def _parts(name: str) -> list[str]:
    """The name cut before and after its number, so that Text200 sorts before Text1000, as the linter has it."""
    head = name.rstrip("0123456789")
    return [head, name[len(head) :]] if head != name else [head, "0"]


def _replaced(text: str, node: ast.stmt, written: str) -> str:
    lines = text.splitlines()
    return "\n".join([*lines[: node.lineno - 1], written, *lines[node.end_lineno or node.lineno :]]) + "\n"


def _add_examples(home: Path) -> None:
    files: dict[str, Any] = {
        "valid/full.json": {"data": {"reason": "Alasan."}},
        "valid/minimal.json": {"data": {}},
        "refused/reason-a-number.json": {"data": {"reason": 7}, "reasons": [["string_type", "data.reason"]]},
        "refused/unknown-field.json": {"data": {"raeson": "Alasan."}, "reasons": [["unknown_field", "data.raeson"]]},
    }
    for name, content in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _next_steps(name: str, class_name: str, module: Path) -> list[str]:
    stem, _, major = name.rpartition(".v")
    before = [each.name for each in registry if each.name.rpartition(".v")[0] == stem and each.major < int(major)]
    steps = [
        f"Say in the docstring of {class_name} ({module}) what happened, and write its fields.",
        f"Make the examples in schemas/examples/{name} real: valid ones show every field.",
        "subak schemas publish",
        "subak schemas check",
    ]
    if before:
        old = max(before, key=lambda each: int(each.rpartition(".v")[2]))
        steps.insert(1, f'Write how {old} becomes this one: @upcast("{old}", to="{name}"), in {module}.')
    if name.split(".")[1] not in {each.domain for each in registry}:
        steps.append(
            f"The domain is new: let agencies publish and hear subak.{name.split('.')[1]}.* in the city's files."
        )
    return ["Next:", *(f"  {number}. {step}" for number, step in enumerate(steps, start=1))]
