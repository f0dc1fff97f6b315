"""Starting jobs on MPI, where there is one."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

needs_mpi = pytest.mark.skipif(
    MPIEXEC is None or importlib.util.find_spec("mpi4py") is None,
    reason="mpi4py or mpiexec is not installed: pip install 'minirnn[mpi]'",
)


def start(ranks, *words, python=(sys.executable,), separate=()):
    """mpiexec -n ranks python words; separate: words of ranks that are given their own, [(ranks, words), ...]."""
    parts = [(ranks, words), *separate] if words else list(separate)
    command = [MPIEXEC]
    for k, (count, given) in enumerate(parts):
        command += [":"] * (k > 0) + ["-n", str(count), *python, *map(str, given)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]), "OMP_NUM_THREADS": "1"},
    )


def finish(process, seconds=120):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def run(ranks, *words, **more):
    code, out, err = finish(start(ranks, *words, **more))
    assert code == 0, err
    return out
