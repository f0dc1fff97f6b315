"""Starting jobs on MPI, where there is one."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))

HANG = 600  # seconds after which a job on a busy machine is taken for hung

needs_mpi = pytest.mark.usefixtures("mpi")


@functools.cache
def why_no_mpi():
    """Why no job can be started, None where one can: an mpi4py that can be imported may find no MPI library."""
    if MPIEXEC is None:
        return "mpiexec is not installed: pip install 'minirnn[mpi]'"
    code, _, err = finish(start(1, "-c", "from mpi4py import MPI"))
    return f"MPI does not work here: {err.strip().splitlines()[-1] if err.strip() else code}" if code else None


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


def finish(process, seconds=HANG):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def run(ranks, *words, **more):
    code, out, err = finish(start(ranks, *words, **more))
    assert code == 0, err
    return out
