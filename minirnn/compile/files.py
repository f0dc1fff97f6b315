"""Generated modules as files: in a folder of the user's, written whole or not at all, found again by later processes.

The folder is $MINIRNN_CACHE, or else the system's place for caches. A file's name says the cell, and a digest of its
key, of the versions of all that made it, and of this machine's processor. Any file may be deleted at any time.
"""

import hashlib
import importlib.util
import logging
import os
import platform
import sys
import types
from functools import cache
from pathlib import Path
from typing import Any

from minirnn.compile.key import versions
from minirnn.whole_file import write_whole

__all__ = ["folder", "kept", "name_of", "text_of", "write"]

_log = logging.getLogger("minirnn")


def folder() -> Path:
    """Where generated modules are kept."""
    chosen = os.environ.get("MINIRNN_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "minirnn" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minirnn"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "minirnn"


@cache
def _machine() -> str:
    """Versions, the processor, and the source of what makes code: what code for one may not suit another."""
    source = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted(here.rglob("*.py")):
        source.update(path.read_bytes())
    return f"{versions()}, {platform.machine()}, {platform.processor()}, {source.hexdigest()}"


def name_of(title: str, key: Any, emitter: str) -> str:
    """A module's name: the cell's, and a digest."""
    digest = hashlib.sha256(f"{emitter} {_machine()} {key!r}".encode()).hexdigest()[:24]
    plain = "".join([c if c.isalnum() and c.isascii() else "_" for c in title])
    return f"{plain}_{emitter}_{digest}"


def kept(name: str) -> types.ModuleType | None:
    """The module of this name, if a file holds it."""
    path = folder() / f"{name}.py"
    try:
        if not path.is_file():
            return None
        module = _imported(name, path)
        if hasattr(module, "LAYOUT"):  # which is written last
            return module
        raise ValueError("it is not whole")
    except Exception as error:  # whatever stands in the file
        _log.warning("minirnn: %s cannot be read, and is made again: %s", path, error)
        return None


def _imported(name: str, path: Path) -> types.ModuleType:
    spec: Any = importlib.util.spec_from_file_location(f"minirnn_generated_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # tracebacks read its lines
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[spec.name]
        raise
    return module


def text_of(module: Any) -> str:
    """A generated module's source, where it is on disk."""
    try:
        path = Path(module.__file__)
        return f"{path}:\n{path.read_text()}"
    except (OSError, AttributeError):
        return "(in memory alone)"


def write(name: str, source: str) -> types.ModuleType:
    """The source as a module: of a file where one can be written, and of memory otherwise."""
    path = folder() / f"{name}.py"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, source.encode())
        return _imported(name, path)
    except OSError as error:
        _log.info("minirnn: %s cannot be written: %s", path, error)
        module = types.ModuleType(f"minirnn_generated_{name}")
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
        return module
