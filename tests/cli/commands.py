"""Commands run in this process, and what they said."""

from typer.testing import CliRunner

from minirnn.cli import app

SMALL = ["--steps", "20", "--hidden", "8", "--batch", "4", "--seq-length", "8"]


def command(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words):
    """The one line that the command says, its exit code being 2."""
    done = command(*words)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    return done.output.strip().splitlines()[-1]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
