"""minirnn inspect: a run's network, looked into, as one HTML file."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors, one_line_warnings

__all__ = ["inspect"]


def inspect(
    run: Annotated[Path, typer.Argument(help="A folder that `minirnn train --out` wrote.")],
    text: Annotated[
        Path | None,
        typer.Option(help="A UTF-8 file or folder to be read. (default: what was held out of the run's own)"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The HTML file. (default: inspect.html in the run)")] = None,
    tokens: Annotated[int, typer.Option(help="How much of the text is read, at most.", min=50, max=50_000)] = 3000,
) -> None:
    """Write a report that opens in any browser, by itself and without a network: the text coloured by each unit, gates,
    gradients, and what the model expected next."""
    from minirnn.analysis import write_report
    from minirnn.data import open_text
    from minirnn.train import load_run, read_metrics
    from minirnn.train.execute import corpus_of
    from minirnn.train.language_model import held_out_start

    with one_line_errors(ValueError, OSError, ImportError), one_line_warnings():
        loaded = load_run(run)
        if loaded.tokenizer is None:
            raise ValueError(f"{run}: this run learned a task, not a text; there is nothing to be read")
        corpus = corpus_of(loaded.config) if text is None else open_text(text)
        start = held_out_start(corpus) if text is None else 0
        path = write_report(
            out or run / "inspect.html",
            loaded.model,
            loaded.tokenizer,
            "".join(corpus.pieces(start)),
            title=f"{run.name}: {loaded.config.cell}, {loaded.config.layers} x {loaded.config.hidden}",
            source=("the held-out part of " if text is None else "") + _name(corpus.source),
            scores=loaded.figures,
            records=read_metrics(run),
            tokens=tokens,
        )
    typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


def _name(source: str) -> str:
    """A source without the folders that it lies in: the page may travel."""
    return source.partition(", ")[0] if source.startswith("Python's") else Path(source).name
