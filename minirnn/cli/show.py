"""minirnn show: a run's figures and curves."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors

__all__ = ["show"]


def show(
    run: Annotated[Path, typer.Argument(help="A folder that `minirnn train --out` wrote.")],
    png: Annotated[Path | None, typer.Option(help="Where the picture goes. (default: curves.png in the run)")] = None,
) -> None:
    """Draw a run's loss and validation in the terminal, and as a PNG (with the extra `plot`)."""
    import shutil

    from minirnn.train import plot_curves, read_metrics, terminal_curves
    from minirnn.train.curves import has_plot
    from minirnn.train.run import read_description

    with one_line_errors(ValueError, OSError, ImportError):
        described = read_description(run)
        records = read_metrics(run)
        drawn = terminal_curves(records, width=min(100, shutil.get_terminal_size().columns))
        path = png or run / "curves.png"
        if png is not None or has_plot():
            plot_curves(records, path, str(run))
            picture = f"as a picture: {path}"
        else:
            picture = "for a picture of it: pip install 'minirnn[plot]'"
    state = "finished" if described.finished else f"unfinished; go on with: minirnn train --resume {run}"
    typer.echo(f"{run}: {records[-1]['step']:,} steps, {state}")
    for name, value in described.figures.items():
        typer.echo(f"  {name.replace('_', ' '):26s} {value:12,.4f}")
    typer.echo(f"{drawn}\n{picture}")
