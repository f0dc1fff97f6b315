"""minirnn cells: the zoo, one published cell a line."""

from typing import Annotated

import typer

from minirnn.cli.errors import one_line_errors

__all__ = ["cells"]


def cells(
    name: Annotated[
        str | None, typer.Argument(help="Show the paper and the equations of this cell. [default: list all]")
    ] = None,
    input_size: Annotated[int, typer.Option(help="Inputs, for the number of parameters.")] = 64,
    hidden_size: Annotated[int, typer.Option(help="Hidden units, for the number of parameters.")] = 128,
) -> None:
    """List the published cells: year, state, parameters at a size, and what each is for."""
    from minirnn.layers import cells as zoo

    with one_line_errors(ValueError):
        if name is not None:
            typer.echo(zoo.get(name).__doc__)
            return
        lines = [zoo.describe(known, input_size, hidden_size) for known in zoo.names()]
    width = max(len(line.state) for line in lines)
    longest = max(len(line.name) for line in lines)
    typer.echo(f"{'cell':{longest}}  year  {'state':{width}}  parameters at ({input_size}, {hidden_size})")
    for line in lines:
        typer.echo(f"{line.name:{longest}}  {line.year}  {line.state:{width}}  {line.parameters:>9,}  {line.use}")
    typer.echo(f"{len(lines)} cells. minirnn cells NAME shows one's paper and equations.")
