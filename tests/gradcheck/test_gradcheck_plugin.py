"""The pytest fixture `gradcheck`, in a session of its own."""

import subprocess
import sys

pytest_plugins = ["pytester"]

TESTS = """
import numpy as np

def test_right(gradcheck):
    assert gradcheck(np.sin, np.ones(3), vjp=lambda g, x: (g * np.cos(x),)).ok

def test_wrong(gradcheck):
    gradcheck(np.sin, np.ones(3), vjp=lambda g, x: (2 * g * np.cos(x),))
"""


def test_the_fixture_fails_a_test_with_the_report(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loaded by name, whether installed or not
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "minirnn.gradcheck.pytest_plugin")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*return assert_gradients*")  # of the traceback the test's own lines are shown
    result.stdout.fnmatch_lines(["*AssertionError: gradcheck: mismatch*", "*is 2 times what it should be*"])


def test_loading_the_plugin_loads_no_checker():
    code = (
        "import sys, minirnn.gradcheck.pytest_plugin;"
        "print([m for m in sys.modules if m.startswith('minirnn.gradcheck.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['minirnn.gradcheck.pytest_plugin']"


def test_the_checker_needs_numpy_alone_where_a_backward_is_given():
    code = (
        "import sys, types; package = types.ModuleType('minirnn'); package.__path__ = [sys.argv[1]];"
        "sys.modules['minirnn'] = package; sys.modules['autograd'] = None; import numpy as np;"
        "from minirnn.gradcheck import gradcheck;"
        "print(gradcheck(np.sin, np.ones(3), vjp=lambda g, x: g * np.cos(x)).ok,"
        "[m for m in sys.modules if m.startswith('minirnn.') and not m.startswith('minirnn.gradcheck')])"
    )
    import minirnn

    command = [sys.executable, "-c", code, minirnn.__path__[0]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"
