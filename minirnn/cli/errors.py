"""What a command says when something is wrong: one line on standard error, and an exit code."""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

__all__ = ["one_line_errors", "one_line_warnings", "users_errors_named"]

PACKAGE = Path(__file__).parent.parent


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
def users_errors_named(who: str) -> Iterator[None]:
    """Within the block the user's code runs: what it raises becomes a ValueError that names the type and the line.

    A ValueError or TypeError of minirnn's own says what is wrong as it is, and passes.
    """
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        if isinstance(error, (ValueError, TypeError)) and PACKAGE in Path(frames[-1].filename).parents:
            raise
        theirs = [
            frame
            for frame in frames
            if PACKAGE not in Path(frame.filename).parents and "site-packages" not in frame.filename
        ]
        place = f" ({Path(theirs[-1].filename).name}, line {theirs[-1].lineno})" if theirs else ""
        said = f": {error}" if str(error) else ""
        raise ValueError(f"{who} raises {type(error).__name__}{said}{place}") from error


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
