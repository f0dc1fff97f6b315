"""minirnn sample: text from a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minirnn.cli.errors import one_line_errors, one_line_warnings, say

if TYPE_CHECKING:
    from minirnn.data import Tokenizer

__all__ = ["sample"]


def sample(
    run: Annotated[Path, typer.Argument(help="A folder that `minirnn train --out` wrote.")],
    prime: Annotated[str, typer.Option(help="The text to continue.")] = "\n",
    length: Annotated[int, typer.Option(help="Tokens to draw.")] = 500,
    samples: Annotated[int, typer.Option(help="Texts to draw, side by side.")] = 1,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest; 1: as the model says.")] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from the k likeliest tokens alone.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from the likeliest whose probabilities reach p.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed, the same text.")] = 0,
    stream: Annotated[bool, typer.Option("--stream", help="Show each token as soon as it is drawn.")] = False,
) -> None:
    """Continue a text with a trained model, token by token."""
    import numpy as np

    from minirnn.train import load_run, sample_many
    from minirnn.train import sample as draw

    with one_line_errors(), one_line_warnings():
        if seed < 0:
            raise ValueError(f"--seed {seed} came, an integer from 0 was expected")
        if stream and samples != 1:
            raise ValueError(f"--stream shows one text; --samples {samples} came")
        trained = load_run(run)
        tokenizer = trained.tokenizer
        if tokenizer is None:
            raise ValueError(f"{run}: this run learned a task; only a language model can be sampled")
        _warn_of_unknown(tokenizer, prime)
        rng = np.random.default_rng(seed)
        if stream:
            texts = draw(
                trained.model, tokenizer, prime, length, temperature=temperature, top_k=top_k, top_p=top_p, rng=rng
            )
        else:
            whole = sample_many(
                trained.model,
                tokenizer,
                prime,
                length,
                samples,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                rng=rng,
            )
    if stream:
        typer.echo(prime, nl=False)
        for piece in texts:
            typer.echo(piece, nl=False)
        typer.echo()
        return
    for i, text in enumerate(whole):
        if samples > 1:
            typer.echo(f"{chr(10) * (i > 0)}--- {i + 1}")
        typer.echo(prime + text)


def _warn_of_unknown(tokenizer: "Tokenizer", prime: str) -> None:
    if tokenizer.unknown is not None and prime:
        count = int((tokenizer.encode(prime) == tokenizer.unknown).sum())
        if count:
            say(f"the model has never seen {count} of the prime's tokens; it reads them as one unknown token")
