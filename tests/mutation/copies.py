"""Copies of the tree, in which lines are changed and tests run; the tree itself is never touched."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
MEMORY = 8 << 30  # bytes that the tests of a slip may take: one that fills lists for ever must not fill the machine
START = (
    "import resource, sys, pytest; hard = resource.getrlimit(resource.RLIMIT_DATA)[1]; "
    f"resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY}, hard)); sys.exit(pytest.main(sys.argv[1:]))"
)
OPTIONS = ("-x", "-q", "-m", "not slow", "-p", "reached", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb", "line")


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
        """Run tests until the first that fails; they end, with all that they started, after so many seconds.

        said: what reached.py is to do, by the names of its variables.
        """
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", START, *OPTIONS, *tests],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": f"{self.folder}:{Path(__file__).parent}", "PYTHONHASHSEED": "0", **said},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            text, _ = process.communicate(timeout=seconds)
            code: int | None = process.returncode
        except subprocess.TimeoutExpired:
            code, text = None, ""
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        return Ended(code, time.monotonic() - start, text)
