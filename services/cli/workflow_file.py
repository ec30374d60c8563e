"""A workflow file outside the catalogue, which somebody is still writing: what it defines, or which line is wrong."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

from schemas.failures import Misconfigured, SubakError
from services.workflows.definition import Workflow


def workflows_in(file: Path, catalogue: Mapping[str, Workflow]) -> list[Workflow]:
    """The workflows that a Python file defines, each a changed one of the catalogue's.

    Raises:
        Misconfigured: it cannot be run, defines none, or one of which the catalogue knows nothing.
    """
    spec = importlib.util.spec_from_file_location(f"simulated_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise Misconfigured(f"{file} is no Python file: its name ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise Misconfigured(_what_is_wrong(file, error)) from error
    known = set(catalogue.values())
    found = [value for value in vars(module).values() if isinstance(value, Workflow) and value not in known]
    if not found:
        raise Misconfigured(f'{file} defines no workflow of its own: make one with Workflow("repair", version=3, ...).')
    names = dict.fromkeys(workflow.name for workflow in catalogue.values())
    for workflow in found:
        if workflow.name not in names:
            raise Misconfigured(
                f"{file} defines {workflow.id}, and the catalogue has no {workflow.name}: give it the name of the "
                f"workflow that it changes ({', '.join(names)})."
            )
    return found


def _what_is_wrong(file: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(file):
        shown = f": {error.text.strip()}" if error.text else ""
        return f"{file}, line {error.lineno}: {error.msg}{shown}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    place = f"{file}, line {lines[-1]}" if lines else str(file)
    if isinstance(error, SystemExit):
        return f"{place}: it ends the process, and a workflow's file only defines."
    return f"{place}: {error if isinstance(error, SubakError) else f'{type(error).__name__}: {error}'}"
