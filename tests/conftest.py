"""Hypothesis profiles: 25 examples by default, 200 where slow tests run too; and what several test files share."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

for name, examples in {"default": 25, "thorough": 200}.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
    )


def pytest_configure(config):
    settings.load_profile("default" if "not slow" in config.getoption("markexpr", "") else "thorough")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")


_worst: dict[tuple[str, str], tuple[float, str]] = {}


@pytest.fixture
def worst_errors():
    """worst_errors(table)(row, error, where): the session's largest error of each row is printed at its end."""

    def table(title):
        def record(row, error, where):
            _worst[title, row] = max(_worst.get((title, row), (-1.0, "")), (error, where))

        return record

    return table


def pytest_terminal_summary(terminalreporter):
    if _worst:
        terminalreporter.section("worst relative errors against PyTorch")
    for (title, row), (error, where) in _worst.items():
        terminalreporter.write_line(f"{title:7s} {row:20s} {error:.1e}   {where}")
