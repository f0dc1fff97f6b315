"""minirnn runs: the runs of a folder side by side."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors

__all__ = ["runs"]


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look, folders below it included.")] = Path("runs"),
) -> None:
    """List runs in the order of their start: what was trained, how far, and the best validation."""
    from rich.console import Console
    from rich.table import Table

    from minirnn.train import list_runs

    with one_line_errors():
        found = list_runs(folder)
        if not found:
            raise ValueError(f"{folder} holds no runs; a run is a folder that `minirnn train --out` wrote")
    table = Table("run", "started", "what", "steps", "best", "", box=None, pad_edge=False)
    for run in found:
        if run.problem is not None:
            table.add_row(str(run.folder), "", "damaged", "", "", "")
            continue
        best = "" if run.best is None else f"{run.metric} {run.best:.4f}"
        state = "" if run.finished else "unfinished"
        table.add_row(str(run.folder), run.started[:16].replace("T", " "), run.what, f"{run.steps:,}", best, state)
    console = Console(highlight=False, markup=False)
    console.print(table, width=None if console.is_terminal else 250)
    for run in found:
        if run.problem is not None:
            typer.echo(f"minirnn: {run.problem}", err=True)
