"""minirnn train: a character language model of any text."""

import itertools
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minirnn.cli.errors import one_line_errors

if TYPE_CHECKING:
    from minirnn.data import Corpus
    from minirnn.train import Run

__all__ = ["train"]

DEFAULT_MINUTES = 2.0


def train(
    text: Annotated[
        Path | None,
        typer.Argument(help="A UTF-8 file, or a folder of them. [default: the source of Python's standard library]"),
    ] = None,
    cell: Annotated[str, typer.Option(help="lstm, gru or rnn.")] = "lstm",
    hidden: Annotated[int, typer.Option(help="Units a layer.")] = 128,
    layers: Annotated[int, typer.Option(help="Recurrent layers.")] = 1,
    batch: Annotated[int, typer.Option(help="Parallel streams of the text.")] = 32,
    seq_length: Annotated[int, typer.Option(help="Steps before the gradient is cut.")] = 64,
    steps: Annotated[int | None, typer.Option(help="Updates. [default: as many as fit into --minutes]")] = None,
    minutes: Annotated[
        float | None, typer.Option(help=f"Training time, in place of --steps. [default: {DEFAULT_MINUTES:g}]")
    ] = None,
    lr: Annotated[float, typer.Option(help="Adam's highest learning rate.")] = 4e-3,
    seed: Annotated[int, typer.Option(help="Of the weights and the sample.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; it must not hold one. [default: runs/1, runs/2, ...]")
    ] = None,
) -> None:
    """Train a character language model by truncated back-propagation through time.

    The last tenth of the text is held out. Prints its bits per character beside those of n-gram models, and a sample.
    """
    from minirnn.cli.progress import TrainingDisplay
    from minirnn.data import TextError, read_text, standard_library
    from minirnn.train import DivergedError, LanguageModelConfig, reserve_run, save_run, train_language_model

    with one_line_errors():
        if steps is None and minutes is None:
            minutes = DEFAULT_MINUTES
        config = LanguageModelConfig(
            cell=cell,
            hidden=hidden,
            layers=layers,
            batch=batch,
            seq_length=seq_length,
            steps=steps,
            minutes=minutes,
            lr=lr,
            seed=seed,
        )
        corpus = read_text(text) if text is not None else standard_library()
        folder = reserve_run(out if out is not None else _next_run())
    with one_line_errors(TextError, DivergedError, OSError):
        with TrainingDisplay() as display:
            run = train_language_model(corpus, config, display)
        save_run(run, folder)
    _report(run, corpus, folder, seed)


def _next_run() -> Path:
    return next(path for i in itertools.count(1) if not (path := Path("runs", str(i))).exists())


def _report(run: "Run", corpus: "Corpus", folder: Path, seed: int) -> None:
    import numpy as np

    from minirnn.train import sample

    figures = run.figures
    bits = figures["held_out_bits_per_char"]
    beaten = [name for name in ("uniform", "unigram", "bigram", "trigram") if bits < figures[f"{name}_bits_per_char"]]
    typer.echo(
        f"\nheld-out bits/char: {bits:.3f} (perplexity {2**bits:.2f}, {bits * math.log(2):.3f} nats), after "
        f"{figures['steps']:,} steps of {1000 * figures['seconds_per_step']:.1f} ms"
    )
    for name in ("uniform", "unigram", "bigram", "trigram"):
        typer.echo(
            f"  {'below' if name in beaten else 'above'} the {name} model's {figures[f'{name}_bits_per_char']:.3f}"
        )
    prime = corpus.text[: corpus.text.find("\n") + 1][:80]
    drawn = sample(run.model, run.vocabulary, prime, 300, temperature=0.7, rng=np.random.default_rng(seed))
    typer.echo(f"\na sample at temperature 0.7:\n{prime}{''.join(drawn)}\n")
    typer.echo(f"saved in {folder}; continue a text with: minirnn sample {folder} --prime TEXT")
