"""minirnn sample: text from a trained model."""

from pathlib import Path
from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors

__all__ = ["sample"]


def sample(
    checkpoint: Annotated[Path, typer.Argument(help="A folder that `minirnn train --out` wrote.")],
    prime: Annotated[str, typer.Option(help="The text to continue.")] = "\n",
    length: Annotated[int, typer.Option(help="Characters to draw.")] = 500,
    temperature: Annotated[float, typer.Option(help="0: always the likeliest; 1: as the model says.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed, the same text.")] = 0,
) -> None:
    """Continue a text with a trained model, character by character."""
    import numpy as np

    from minirnn.train import load_run
    from minirnn.train import sample as draw
    from minirnn.train.language_model import build

    with one_line_errors():
        if seed < 0:
            raise ValueError(f"--seed {seed} came, an integer from 0 was expected")
        run = load_run(checkpoint, build)
        unknown = "".join(sorted(set(prime) - set(run.vocabulary.characters)))
        if unknown:
            typer.echo(
                f"minirnn: the model has never seen {unknown!r}; it reads them as one unknown character", err=True
            )
        rng = np.random.default_rng(seed)
        characters = draw(run.model, run.vocabulary, prime, length, temperature=temperature, rng=rng)
    typer.echo(prime, nl=False)
    for character in characters:
        typer.echo(character, nl=False)
    typer.echo()
