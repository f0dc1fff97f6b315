"""TrainConfig's options as a command's: the same names, words and defaults, so that none is ever missing."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

__all__ = ["with_config_options"]

Command = TypeVar("Command", bound=Callable[..., None])
ARGUMENTS = ("text",)  # what the command itself takes in another way


def with_config_options(command: Command) -> Command:
    """A command that takes **options, with the config's options in their place. None stands for: not given."""
    from minirnn.train.config import options, type_of

    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    added = []
    for option in options():
        if option.name in ARGUMENTS:
            continue
        default = "" if option.optional or option.default is False else f" (default: {option.default})"
        kind: Any = Annotated[type_of(option) | None, typer.Option(help=option.help + default, show_default=False)]
        added.append(inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind))
    command.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *added]} | {"return": None}
    return command
