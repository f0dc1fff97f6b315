"""minirnn eval: how well a run's model predicts a text."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors, one_line_warnings

__all__ = ["evaluate"]


def evaluate(
    run: Annotated[Path, typer.Argument(help="A folder that `minirnn train --out` wrote.")],
    text: Annotated[
        Path | None, typer.Argument(help="A UTF-8 file or folder. (default: what was held out of the run's own)")
    ] = None,
) -> None:
    """Score a trained model: bits per character, perplexity and accuracy of a text; loss and metric of a task."""
    from minirnn.data import open_text
    from minirnn.train import evaluate as score_run
    from minirnn.train import load_run

    with one_line_errors(ValueError, OSError, ImportError), one_line_warnings():
        found = score_run(load_run(run), None if text is None else open_text(text))
    typer.echo(f"{run} on {found.what}")
    for name, value in found.figures.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
        typer.echo(f"  {name.replace('_', ' '):16s} {shown:>12s}")
