"""The command line, one command a file; each is thin, and calls a function that a library user can call."""

import typer

from minirnn.cli.bench import bench
from minirnn.cli.cells import cells
from minirnn.cli.check import check
from minirnn.cli.evaluate import evaluate
from minirnn.cli.export import export
from minirnn.cli.inspect import inspect
from minirnn.cli.runs import runs
from minirnn.cli.sample import sample
from minirnn.cli.show import show
from minirnn.cli.sweep import sweep
from minirnn.cli.train import train
from minirnn.cli.vanish import vanish

__all__ = ["app", "main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Recurrent cells as plain NumPy functions: train them, and see that their gradients are right.",
)
app.command()(train)
app.command()(sample)
app.command("eval")(evaluate)
app.command()(export)
app.command()(runs)
app.command()(show)
app.command()(sweep)
app.command()(check)
app.command()(bench)
app.command()(cells)
app.command()(vanish)
app.command()(inspect)


@app.callback()
def _options() -> None:
    """Makes the commands commands even where there is only one."""


def main() -> None:
    """The entry point of the command `minirnn`."""
    app()
