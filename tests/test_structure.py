"""What the source promises about itself."""

import ast
import io
import tokenize
from pathlib import Path

import minirnn

SOURCE = Path(minirnn.__file__).parent
CORE = [
    "tree",
    "module",
    "transform",
    "primitive",
    "functional",
    "loop",
    "engines",
    "layers/rnn",
    "layers/lstm",
    "layers/gru",
    "layers/recurrent",
]
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(path):
    """How many lines hold code: no blank ones, comments or docstrings."""
    source = path.read_text()
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_the_core_is_what_a_teacher_can_show():
    assert sum(lines_of_code(SOURCE / f"{name}.py") for name in CORE) < 1500


def test_nothing_is_called_by_a_name_that_says_nothing():
    assert not [path for path in SOURCE.rglob("*.py") if path.stem in {"utils", "util", "helpers", "common", "misc"}]


def test_only_the_primitives_and_transforms_touch_autograds_machinery():
    machinery = ("autograd.core", "autograd.tracer", "autograd.extend", "autograd.util", "autograd.numpy.numpy_")
    users = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if any(f"{how} {name}" in path.read_text() for how in ("import", "from") for name in machinery)
    }
    assert users - {"compile/trace.py", "compile/lower.py", "compile/reads.py"} == {
        "boxes.py",
        "primitive.py",
        "bundle.py",
        "transform.py",
    }
