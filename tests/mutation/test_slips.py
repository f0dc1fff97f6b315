"""The slips of a source text, how they are drawn, and what a run of tests on one says."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import copies
import pytest
from belonging import ROOMS, ROOT, belonging, files, room_of
from copies import Copy
from reached import ORDER, choice
from slips import changed_lines, changes, slips

HERE = Path(__file__).parent
specification = importlib.util.spec_from_file_location("mutation", HERE / "__main__.py")
mutation = importlib.util.module_from_spec(specification)
sys.modules["mutation"] = mutation
specification.loader.exec_module(mutation)


@pytest.mark.parametrize(
    ("line", "slip", "kind"),
    [
        ("x = a < b", "x = a <= b", "another comparison"),
        ("x = a is not b", "x = a is b", "another comparison"),
        ("x = a + b", "x = a - b", "another operator"),
        ("x = a @ b", "x = b @ a", "factors swapped"),
        ("x = a and b", "x = a or b", "and for or"),
        ("x = a and b", "x = True and b", "part of a condition forgotten"),
        ("x = 3", "x = 4", "off by one"),
        ("x = a[i:]", "x = a[i + 1:]", "off by one"),
        ("x = range(n)", "x = range(n - 1)", "off by one"),
        ("x = a.copy()", "x = a", "copy dropped"),
        ("x = np.array(a)", "x = a", "array dropped"),
        ("x = f(a, b)", "x = f(b, a)", "arguments swapped"),
        ("x = f(a, key=b)", "x = f(a, )", "argument left out"),
        ("x = min(a)", "x = max(a)", "another function"),
        ("x += y", "x = y", "set and not updated"),
        ("x += y", "pass", "update dropped"),
        ("x[0] = y", "pass", "assignment dropped"),
        ("f(x)", "pass", "call dropped"),
        ("raise ValueError('no ' + x)", "pass", "error not raised"),
        ("x = a if c else b", "x = a if not (c) else b", "condition turned round"),
        ("x = a if c else b", "x = a if False else b", "branch forgotten"),
        ("x = [a for a in b if a]", "x = [a for a in b if True]", "filter forgotten"),
        ("def f(a, b=2): return a", "def f(a, b=3): return a", "another default"),
        ("def f(a): return a, 한글", "def f(a): return 한글, a", "results swapped"),
    ],
)
def test_a_plausible_slip_is_among_them(line, slip, kind):
    found = [one for one in slips(f"y = 'ä'\n{line}\n") if one.line == 2]
    assert (slip, kind) in [(changed_lines(f"y = 'ä'\n{line}\n", one)[1], one.kind) for one in found]


def test_what_does_not_run_has_none():
    source = '"""A text."""\nimport a\n__all__ = ["b"]\ndef f(x: int | None = None) -> 3:\n    """Says 1 + 1."""\n'
    assert slips(source + "    raise E(1 + 1)\n")[0].kind == "error not raised"
    assert len(slips(source + "    raise E(1 + 1)\n")) == 1


def test_a_check_of_our_own_is_none_and_what_is_the_same_either_way_is_not_swapped():
    assert [one.kind for one in slips("x = zip(a, b, strict=True)\n")] == ["arguments swapped"]
    assert [one.kind for one in slips("x = np.maximum(a, b)\n")] == ["another function"]
    assert slips("x = np.array([a, b])\n") == []


def test_every_slip_of_a_real_file_is_one_change_of_its_line():
    source = (ROOT / "minirnn/tree.py").read_text()
    found = slips(source)
    assert len(found) > 50
    for slip in found:
        before, after = changed_lines(source, slip)
        assert before != after
        assert source.replace(before, "") != source or "\n" in before
        if changes(source, slip):
            ast.parse(slip.applied(source))


def test_the_draw_is_the_same_for_a_seed_and_of_different_lines():
    drawn = mutation.drawn("optim/sgd.py", 5, 3)
    assert drawn == mutation.drawn("optim/sgd.py", 5, 3) != mutation.drawn("optim/sgd.py", 5, 4)
    assert len({(trial.path, trial.slip.line) for trial in drawn}) == 5


def test_every_room_has_files_and_every_file_tests():
    for room in ROOMS:
        assert files(room)
        for path in files(room):
            assert room_of(path) == room
            assert all((ROOT / test).is_file() for test in belonging(path))
            assert belonging(path)
    assert belonging("minirnn/optim/clip.py")[0] == "tests/optim/test_clip.py"


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A tree of one file and its tests, under git."""
    tree = tmp_path / "tree"
    (tree / "minirnn/gradcheck").mkdir(parents=True)
    (tree / "minirnn/gradcheck/pytest_plugin.py").write_text("")  # pytest loads it
    (tree / "tests").mkdir()
    (tree / "minirnn/__init__.py").write_text("")
    (tree / "minirnn/sums.py").write_text("def total(a, b):\n    # a note\n    return a + b\n\n\nlimit = 9\n")
    (tree / "tests/test_sums.py").write_text("from minirnn.sums import total\n\ndef test(): assert total(1, 2) == 3\n")
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    for module in (mutation, copies, sys.modules["belonging"]):
        monkeypatch.setattr(module, "ROOT", tree)
    monkeypatch.setattr(copies, "PRELOAD", ("pytest",))
    monkeypatch.setattr(mutation, "EQUIVALENT", tmp_path / "unseen.toml")
    (tmp_path / "unseen.toml").write_text("")
    return tree


def mutants(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["mutants", "--only", "sums.py", "--jobs", "1", *words])
    assert mutation.main() == 0
    return capsys.readouterr().out


def test_what_is_caught_and_what_survives_is_told_and_the_tree_is_as_it_was(small, monkeypatch, capsys):
    before = (small / "minirnn/sums.py").read_text()
    said = mutants(monkeypatch, capsys)
    assert "caught   minirnn/sums.py:3 FAILED tests/test_sums.py::test" in said
    assert "minirnn/sums.py:6: off by one\n    - limit = 9\n    + limit = " in said
    assert "core                1         1               0    50 %" in said
    assert (small / "minirnn/sums.py").read_text() == before


def test_a_reviewed_slip_is_known_by_its_words_and_not_tried(small, monkeypatch, capsys, tmp_path):
    entry = (
        '[[slip]]\nfile = "minirnn/sums.py"\nbefore = "limit = 9"\nafter = "limit = {}"\nreason = "nobody reads it"\n'
    )
    (tmp_path / "unseen.toml").write_text(entry.format(8) + entry.format(10))
    (small / "minirnn/sums.py").write_text("# moved by a line\n" + (small / "minirnn/sums.py").read_text())
    assert "core                1         0               1   100 %" in mutants(monkeypatch, capsys)


def test_tests_that_hang_are_caught_and_ended_with_all_that_they_started(small, monkeypatch):
    monkeypatch.setattr(copies, "LOOK", 0.5)
    started = "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
    test = f"import subprocess, sys, threading\n\ndef test():\n    {started}\n    threading.Event().wait()\n"
    (small / "tests/test_sums.py").write_text(test)
    (small / "copy").mkdir()
    ended = Copy(small / "copy").run(["tests/test_sums.py"], 0.5)
    assert ended.code is None
    assert ended.why().startswith("hangs")


@pytest.mark.slow
def test_tests_that_others_keep_from_the_processor_are_waited_for(small, monkeypatch):
    monkeypatch.setattr(copies, "LOOK", 0.5)
    work = "time.sleep(0.1); sum(range(100_000))"
    (small / "tests/test_sums.py").write_text(f"import time\n\ndef test():\n    for _ in range(80): {work}\n")
    (small / "copy").mkdir()
    ended = Copy(small / "copy").run(["tests/test_sums.py"], 6)
    assert ended.code == 0
    assert ended.seconds > 6


def test_tests_that_fail_where_nothing_is_changed_end_the_run(small, monkeypatch, capsys):
    (small / "tests/test_sums.py").write_text("def test(): assert False\n")
    with pytest.raises(SystemExit, match="the tests of core fail where nothing is changed"):
        mutants(monkeypatch, capsys)


def test_of_a_parametrized_test_one_case_is_among_the_first_few():
    took = {"t::a[1]": 0.1, "t::a[2]": 0.2, "t::b": 0.3, "t::c[1]": 0.4}
    reached = {name: (seconds, {"minirnn/sums.py": [1]}) for name, seconds in took.items()}
    found = choice(reached, "minirnn/sums.py", "limit = 9\n", 1, 3)
    assert found == (["t::a[1]", "t::b", "t::c[1]"], list(took))


def test_the_tests_that_come_to_a_line_run_first_and_the_quickest_of_them_before_all(small, tmp_path):
    source = (small / "minirnn/sums.py").read_text() + "\n\ndef less(a, b):\n    return a - b\n"
    (small / "minirnn/sums.py").write_text(source)
    tests = (
        "import time\nfrom minirnn.sums import less, total\n\ndef test_none(): pass\ndef test_less(): less(1, 1)\n"
        "def test_long(): time.sleep(0.3); total(1, 1)\ndef test(): total(1, 1)\n"
    )
    (small / "tests/test_sums.py").write_text(tests)
    (small / "copy").mkdir()
    copy, order = Copy(small / "copy"), tmp_path / "order.json"
    reached = mutation.plain("core", ["tests/test_sums.py"], copy).reached
    found = [choice(reached, "minirnn/sums.py", source, line, 1) for line in (3, 11, 1)]
    assert [[name.split("::")[1] for name in one.few] for one in found[:2]] == [["test"], ["test_less"]]
    names = found[0].near
    assert [name.split("::")[1] for name in names] == ["test", "test_long"]
    assert len(found[2].near) == 3  # a line that no test was seen to come to: those of its file
    order.write_text(json.dumps(names))
    copy.write("tests/test_sums.py", tests.replace("(): ", "(): assert False; "))
    assert copy.run(["tests/test_sums.py"], 60, **{ORDER: str(order)}).why() == "FAILED tests/test_sums.py::test"
