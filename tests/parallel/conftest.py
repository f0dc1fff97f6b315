import pytest
from mpi_jobs import why_no_mpi


@pytest.fixture(scope="session")
def mpi():
    """MPI, tried once; tests that need it are skipped with the reason where it does not work."""
    if reason := why_no_mpi():
        pytest.skip(reason)
