"""What a command is pointed at: `package.module:name`, or `path/to/file.py:name`."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["find", "load_module"]


def find(target: str) -> tuple[ModuleType, str, Any]:
    """(module, name, object) of a target. ValueError: no such module or name, or an error while it is imported."""
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise ValueError(f"{target!r} came, package.module:name or path/to/file.py:name was expected")
    module = load_module(where)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            there = ", ".join(sorted(n for n in vars(module) if not n.startswith("_")))
            raise ValueError(f"{where} has no {name!r}; it has {there or 'no public names'}")
        found = getattr(found, part)
    return module, name, found


def load_module(where: str) -> ModuleType:
    """A module by its dotted name (the current folder counts) or by its file. ValueError: it cannot be imported."""
    is_file = where.endswith(".py")
    if is_file and not Path(where).is_file():
        raise ValueError(f"{where}: no such file")
    before = list(sys.path)
    sys.path.insert(0, str(Path(where).resolve().parent) if is_file else "")
    try:
        if not is_file:
            return importlib.import_module(where)
        spec = importlib.util.spec_from_file_location(Path(where).stem, where)
        if spec is None or spec.loader is None:
            raise ImportError("not Python source")
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(spec.name, module)
        spec.loader.exec_module(module)
        return module
    except Exception as error:  # whatever the user's code raises while it is imported
        raise ValueError(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = before
