"""Copies of the tree, in which lines are changed and tests run; the tree itself is never touched."""

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
MEMORY = 8 << 30  # bytes that the tests of a slip may take: one that fills lists for ever must not fill the machine
LOOK = 5.0  # seconds between two looks at tests that have had their time
OPTIONS = ("-x", "-q", "-m", "not slow", "-p", "reached", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb", "line")

# What tests load from elsewhere, in the process that theirs are forked from: to load it takes longer than most tests.
PRELOAD = (
    "pytest",
    "coverage",
    "numpy",
    "autograd.numpy",
    "llvmlite.binding",
    "torch",
    "safetensors.numpy",
    "typer.testing",
)
_forks = multiprocessing.get_context("forkserver")


def preload() -> None:
    """From now on tests start in forks of a process that has loaded the libraries, where they are installed."""
    os.environ.setdefault("PYTHONHASHSEED", "0")  # that process's, and so that of every fork
    _forks.set_forkserver_preload(list(PRELOAD))


def _tests(folder: Path, words: Sequence[str], environment: Mapping[str, str], output: str) -> None:
    """A fork's whole life: pytest in a folder, all that is said into a file; its exit code is pytest's."""
    os.setsid()
    to = os.open(output, os.O_WRONLY)
    os.dup2(to, 1)
    os.dup2(to, 2)
    os.chdir(folder)
    os.environ.update(environment)
    sys.dont_write_bytecode = False  # in the copy, and where pytest rewrites Hypothesis: most of a start, otherwise
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    here = [str(folder), str(HERE)]
    sys.path[:] = [*here, *(place for place in sys.path if place not in here)]
    sys.modules["__main__"] = types.ModuleType("__main__")  # what tests start in turn is not to load ours
    sys.modules.pop("reached", None)  # pytest loads it, as a plugin
    import pytest

    sys.exit(int(pytest.main(list(words))))


def _at_work(session: int, seconds: float) -> bool:
    """Whether a session's processes did something while they were looked at, and less than so many seconds in all."""
    before = _processor_seconds(session)
    time.sleep(LOOK)
    return before < _processor_seconds(session) < seconds


def _processor_seconds(session: int) -> float:
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            values = path.read_text().rpartition(")")[2].split()  # from the third on: the second may hold spaces
            ticks += sum(map(int, values[11:15])) if int(values[3]) == session else 0
    return ticks / os.sysconf("SC_CLK_TCK")


class Ended(NamedTuple):
    """How tests ended: pytest's exit code, None where they ran past their time; the seconds; what was said."""

    code: int | None
    seconds: float
    said: str

    def why(self) -> str:
        """What caught a slip, in a line."""
        if self.code is None:
            return f"hangs: more than {self.seconds:.0f} s"
        named = [line for line in self.said.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return named[-1].split(" - ")[0] if named else f"pytest ends with code {self.code}"


class Copy:
    """One copy of all that git does not ignore."""

    def __init__(self, folder: Path):
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)

    def write(self, path: str, source: str) -> None:
        """Change a file. Python may take one of the same size and second for unchanged, so what it kept is dropped."""
        target = self.folder / path
        target.write_text(source, encoding="utf-8")
        for kept in target.parent.glob(f"__pycache__/{target.stem}.cpython-*.pyc"):
            kept.unlink()

    def run(self, tests: Sequence[str], seconds: float, **said: str) -> Ended:
        """Run tests until the first that fails; they end, with all that they started, where they hang: after so many
        seconds of a processor, or of waiting for nothing. Others that keep the machine busy are no reason to end.

        said: what reached.py is to do, by the names of its variables.
        """
        environment = {"PYTHONPATH": f"{self.folder}:{HERE}", "PYTHONDONTWRITEBYTECODE": "", **said}
        start = time.monotonic()
        with tempfile.NamedTemporaryFile(prefix="said-", dir=self.folder.parent) as output:
            process = _forks.Process(target=_tests, args=(self.folder, [*OPTIONS, *tests], environment, output.name))
            process.start()
            process.join(seconds)
            while process.is_alive() and _at_work(process.pid, seconds):
                process.join(LOOK)
            code = process.exitcode
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join()
            text = Path(output.name).read_text(encoding="utf-8", errors="replace")
        return Ended(code, time.monotonic() - start, text if code is not None else "")
