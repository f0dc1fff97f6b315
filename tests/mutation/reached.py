"""A pytest plugin: records what each test reaches and how long it takes, or runs the tests of a line first.

A slip is then noticed by the quickest test that can notice it. Nothing is left out: the other tests follow, since a
line may also matter through what an earlier test left in a cache, or in a process that a test starts.
"""

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import coverage
import pytest

RECORD, ORDER = "MINIRNN_MUTANTS_RECORD", "MINIRNN_MUTANTS_ORDER"  # the file to write, the file with names in order
NEAR = "MINIRNN_MUTANTS_NEAR"  # leave out the tests that have no name there
Reached = dict[
    str, tuple[float, dict[str, list[int]]]
]  # test -> its seconds, and the lines of each file that it came to


class Recorder:
    """Follows the lines of minirnn/ while a test runs, its fixtures too."""

    def __init__(self, target: Path):
        self.target, self.seconds = target, dict[str, float]()
        self.folder = Path.cwd() / "minirnn"
        os.environ["COVERAGE_CORE"] = "ctrace"  # sys.monitoring tells of a line once, and not of every test
        self.lines = coverage.Coverage(data_file=None, config_file=False, source=[str(self.folder)])
        self.lines.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.lines.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.lines.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        self.lines.stop()
        tests: Reached = {name: (seconds, {}) for name, seconds in self.seconds.items()}
        data = self.lines.get_data()
        for name in sorted(data.measured_files()):
            path = str(Path(name).relative_to(self.folder.parent))
            for line, contexts in sorted(data.contexts_by_lineno(name).items()):
                for test in filter(tests.__contains__, contexts):
                    tests[test][1].setdefault(path, []).append(line)
        self.target.write_text(json.dumps(tests), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    if target := os.environ.get(RECORD):
        config.pluginmanager.register(Recorder(Path(target)))
        config.option.maxfail = 0  # a test that does not bear to be followed keeps no other from being so


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if names := os.environ.get(ORDER):
        places = {name: k for k, name in enumerate(json.loads(Path(names).read_text(encoding="utf-8")))}
        if places and NEAR in os.environ:
            items[:] = [item for item in items if item.nodeid in places]
        items.sort(key=lambda item: places.get(item.nodeid, len(places)))


class Choice(NamedTuple):
    """The tests that may notice a slip, the quickest first: few of as many kinds, and all that come to the line.

    Where none is known to come to the line (it runs at import, or in a process that a test starts), those of the file.
    """

    few: list[str]
    near: list[str]


def choice(reached: Reached, path: str, source: str, line: int, few: int) -> Choice:
    lines = set(_statement(source, line))
    at_line = [name for name, (_, files) in reached.items() if not lines.isdisjoint(files.get(path, ()))]
    near = sorted(
        at_line or [name for name, (_, files) in reached.items() if path in files], key=lambda name: reached[name][0]
    )
    kinds = dict[str, str]()
    for name in near:
        kinds.setdefault(name.split("[")[0], name)  # a parametrized test is one kind: its next case adds the least
    return Choice(list(dict.fromkeys([*kinds.values(), *near]))[:few], near)


def _statement(source: str, line: int) -> range:
    """The lines of the innermost statement that a line is in; of a compound one, those before its body."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if line <= max(end, node.lineno):
                found = range(node.lineno, max(end, node.lineno) + 1)
    return found
