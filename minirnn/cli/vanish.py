"""minirnn vanish: why gradients vanish, and what gates do about it, measured."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors

__all__ = ["vanish"]


def vanish(
    png: Annotated[Path, typer.Option(help="Where the picture goes; .pdf and .svg too.")] = Path("vanish.png"),
    seed: Annotated[int, typer.Option(help="Of weights and inputs.", min=0)] = 0,
    lags: Annotated[int, typer.Option(help="How many steps back.", min=24, max=2000)] = 60,
    steps: Annotated[int, typer.Option(help="Updates on copy memory, before the last picture.", min=1)] = 800,
    width: Annotated[int | None, typer.Option(help="Characters a line. [default: the terminal's]", min=40)] = None,
) -> None:
    """Draw how much of a gradient is left k steps back: tanh RNN, GRU and LSTM, at several spectral radii and biases of
    the keep gate, and before and after they have learned to remember."""
    import shutil

    from minirnn.analysis import figures, vanishing
    from minirnn.analysis.terminal import terminal_panels

    with one_line_errors(ValueError, OSError):
        panels = vanishing(seed, lags, steps)
        typer.echo("|dh_T / dx_(T-k)|, what is left of a gradient k steps back; 32 units, the median of 8 sequences\n")
        typer.echo(terminal_panels(panels, width=width or min(120, shutil.get_terminal_size().columns)))
        try:
            drawn = figures.plot_panels(panels)
        except ModuleNotFoundError as error:
            typer.echo(f"\n{error}")
            return
        drawn.savefig(png, dpi=150)
    typer.echo(f"\nas a picture: {png}")
