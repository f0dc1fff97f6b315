"""minirnn export: a run's model as an ONNX file, or a cell as a file of PyTorch or JAX."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors, users_errors_named

__all__ = ["export"]


def export(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A folder that `minirnn train --out` wrote; with --to, a cell: file.py:name, package.module:name, or "
            "a name of `minirnn cells`, LSTM, GRU or RNN.",
        ),
    ],
    path: Annotated[Path, typer.Argument(help="The file to write: model.onnx, or cell_torch.py.", metavar="OUT")],
    to: Annotated[
        str | None, typer.Option(help="torch or jax: one readable file with the derived backward pass in it.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="I,H: with --to, a file for these sizes alone.", metavar="I,H")
    ] = None,
) -> None:
    """Write a run's model as ONNX (with the extra `onnx`), or a cell as a file of PyTorch or JAX that needs no
    minirnn."""
    with one_line_errors(ValueError, TypeError, OSError, ImportError):
        if to is not None:
            _write_source(what, path, to, size)
            return
        if size is not None:
            raise ValueError(f"--size {size} came without --to; an ONNX file has the run's own sizes")
        if ":" in what and not Path(what).exists():
            raise ValueError(f"{what} came without --to; a run's folder was expected, or --to torch or --to jax")
        from minirnn.interop.onnx.runs import run_to_onnx

        run_to_onnx(Path(what), path)
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def _write_source(what: str, path: Path, to: str, size: str | None) -> None:
    from minirnn.cli.target import find
    from minirnn.interop.source import write

    sizes = None if size is None else _sizes(size)
    with users_errors_named(what):
        write(find(what)[2] if ":" in what else what, path, to=to, sizes=sizes)
    typer.echo(f"{path}: `python {path}` compares it with the framework's own derivative")


def _sizes(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
        raise ValueError(f"--size {text} came; two positive numbers as in 64,128 were expected")
    return int(parts[0]), int(parts[1])
