"""What a command says when its input is wrong: one line on standard error, exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

__all__ = ["one_line_errors"]


@contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn these errors, within the block, into one line and exit code 2. Default: ValueError and OSError."""
    expected = kinds or (ValueError, OSError)
    try:
        yield
    except expected as error:
        what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        typer.echo(f"minirnn: {' '.join(what.split())}", err=True)
        raise typer.Exit(2) from None
