"""What a command says when something is wrong: one line on standard error, and an exit code."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

__all__ = ["one_line_errors", "one_line_warnings"]


@contextmanager
def one_line_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turn these errors, within the block, into one line and exit code 2. Default: ValueError and OSError."""
    expected = kinds or (ValueError, OSError)
    try:
        yield
    except expected as error:
        what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        say(what)
        raise typer.Exit(2) from None


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Within the block, a warning is one line."""

    def show(message: Warning | str, *rest: Any, **more: Any) -> None:
        say(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def say(what: str) -> None:
    typer.echo(f"minirnn: {' '.join(what.split())}", err=True)
