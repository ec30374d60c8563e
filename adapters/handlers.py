"""A function of the agency's own, named in adapter.toml as `package.module:function`, found beside it or installed."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bus.city.problems import nearest
from schemas.failures import Misconfigured

HANDLER_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"

_handler = re.compile(HANDLER_PATTERN)


class HandlerExited(Exception):
    """The function called sys.exit(), which ends its call and not the adapter."""


def load_handler(name: str, folder: Path) -> Callable[..., Any]:
    """The function of that name. Its module is imported: what it does on import is done.

    Args:
        folder: where adapter.toml lies; a module there is found before an installed one of the same name.

    Raises:
        Misconfigured: there is no such module or function, or the module cannot be imported.
    """
    if not _handler.fullmatch(name):
        raise Misconfigured(f"handler {name[:100]!r} is not package.module:function, such as handlers:read_complaints.")
    module_name, _, function_name = name.partition(":")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise Misconfigured(
                f"handler {name}: there is no module {error.name}. "
                f"Put {error.name}.py beside adapter.toml, or install it."
            ) from error
        raise Misconfigured(f"handler {name}: its module needs {error.name}, which is not installed.") from error
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"[:300]
        raise Misconfigured(f"handler {name}: its module cannot be imported ({problem}). Correct it.") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        known = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        raise Misconfigured(
            f"handler {name}: {module_name} has no function {function_name}. {nearest(function_name, known)}"
        )
    found: Callable[..., Any] = function
    return found
