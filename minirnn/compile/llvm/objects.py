"""Machine code of LLVM text: compiled once, kept on disk by content, loaded into this process once.

They are kept in $MINIRNN_CACHE, or else in the system's place for a user's caches. An object file's name is a digest of
its text, of the target, and of LLVM's version: what was made of another text, on another processor or by another
version is not found. A file carries the digest of its name and bytes; a broken or foreign one is made anew. Files
appear whole or not at all, so several processes may make the same one.
"""

import ctypes
import hashlib
import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from minirnn.compile.llvm.target import Target, host
from minirnn.locks import Lock
from minirnn.whole_file import write_whole

__all__ = ["address_of", "available", "emitted", "folder", "function"]

_log = logging.getLogger("minirnn")
_lock = Lock()
LEAST = (16,)  # LLVM, whose pointers have no type


@cache
def available() -> str | None:
    """Why no native code can be made here, or None."""
    try:
        import llvmlite.binding as llvm

        if llvm.llvm_version_info < LEAST:
            found = ".".join(map(str, llvm.llvm_version_info))
            return f"expected LLVM {LEAST[0]} or newer, llvmlite has {found}; pip install --upgrade 'minirnn[fast]'"
        _engine()
    except ImportError:
        return "llvmlite is not installed; pip install 'minirnn[fast]'"
    except Exception as error:
        return f"llvmlite does not work here: {type(error).__name__}: {error}"
    return None


def _machine(target: Target) -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    if target.triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    of = llvm.Target.from_triple(target.triple) if target.triple else llvm.Target.from_default_triple()
    # addresses in full: LLVM lays code, its constants and the C library wherever memory is free, and where 32 bits do
    # not reach from one to another it ends the process
    return of.create_target_machine(cpu=target.cpu, features=target.features, opt=2, reloc="static", codemodel="large")


@cache
def _engine() -> Any:
    """One for the process; it owns its machine, and the code lives as long as it does."""
    import llvmlite.binding as llvm

    machine = _machine(host())
    return llvm.create_mcjit_compiler(llvm.parse_assembly(f'target triple = "{machine.triple}"'), machine)


def emitted(text: str, target: Target, thorough: bool = False) -> bytes:
    """The object file of a module's text for a target, which need not be this machine's.

    A cell's code is written nearly as it should run: few passes do, in a tenth of the time of all (`thorough`).
    """
    import llvmlite.binding as llvm

    machine = _machine(target)
    parsed = llvm.parse_assembly(text)
    parsed.triple, parsed.data_layout = machine.triple, str(machine.target_data)
    parsed.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    passes = builder.getModulePassManager() if thorough else llvm.create_new_module_pass_manager()
    if not thorough:
        for name in ("sroa", "simplify_cfg", "new_gvn", "simplify_cfg"):
            getattr(passes, f"add_{name}_pass")()
    passes.run(parsed, builder)
    made: bytes = machine.emit_object(parsed)
    return made


def folder() -> Path:
    """Where object files are kept, any of which may be deleted at any time."""
    chosen = os.environ.get("MINIRNN_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "minirnn" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minirnn"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "minirnn"


def _kept(digest: str, write: Callable[[], str], thorough: bool) -> bytes:
    """The object file of this digest: from disk, or made of write() and kept."""
    path = folder() / f"{digest}.o"
    try:
        found = path.read_bytes()
        if found[:32] == _seal(digest, found[32:]):
            return found[32:]
        _log.warning("minirnn: %s is damaged, and is made again", path)
    except OSError:
        pass
    made = emitted(write(), host(), thorough)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, _seal(digest, made) + made)
    except OSError as error:
        _log.info("minirnn: %s cannot be written: %s", path, error)
    return made


def _seal(digest: str, made: bytes) -> bytes:
    """What a file begins with: it tells broken ones, and those of another name."""
    return hashlib.sha256(digest.encode() + made).digest()


@cache
def versions() -> str:
    import llvmlite
    import llvmlite.binding as llvm

    return f"llvmlite {llvmlite.__version__} LLVM {llvm.llvm_version_info}"


def load(key: str, write: Callable[[], str], *, thorough: bool = False) -> None:
    """Bring a module's functions into the process. key: all that its text follows from; write: its text."""
    import llvmlite.binding as llvm

    digest = hashlib.sha256(f"{versions()} {host()} {key}".encode()).hexdigest()
    data = _kept(digest, write, thorough)
    with _lock:
        _engine().add_object_file(llvm.ObjectFileRef.from_data(data))
        _engine().finalize_object()


def address_of(name: str) -> int:
    """The address of a loaded function, 0 where there is none."""
    with _lock:
        found: int = _engine().get_function_address(name)
    return found


def function(name: str, arguments: int = 1) -> Any:
    """A loaded function of so many addresses or integers; its calls run without the interpreter's lock."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(address_of(name))
