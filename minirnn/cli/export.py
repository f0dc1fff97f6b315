"""minirnn export: a run's model as an ONNX file."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="A folder that `minirnn train --out` wrote.")],
    path: Annotated[Path, typer.Argument(help="The file to write, model.onnx.", metavar="MODEL.onnx")],
) -> None:
    """Write a run's model as ONNX, to be run where minirnn is not installed (with the extra `onnx`)."""
    with one_line_errors(ValueError, OSError, ImportError):
        from minirnn.interop.onnx.runs import run_to_onnx

        run_to_onnx(run, path)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
