"""minirnn check: is a gradient right? A built-in cell's, that of a cell of your own, or a backward written by hand."""

import json
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minirnn.cli.errors import one_line_errors, users_errors_named
from minirnn.cli.target import find

if TYPE_CHECKING:
    from minirnn.derivations import Comparison, Finding
    from minirnn.gradcheck import Report
    from minirnn.layers import Cell

__all__ = ["check"]


def check(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:NAME]",
            help="A Cell, or a function with a backward of its own, as package.module:name or file.py:name. "
            "[default: the built-in cells]",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every registered cell, not the built-in ones alone.")] = False,
    backward: Annotated[
        str | None,
        typer.Option(
            help="The function's backward(g, *args); 'autograd' for autograd's. "
            "[default: NAME_backward or NAME_vjp beside it, or autograd]"
        ),
    ] = None,
    shapes: Annotated[
        str | None,
        typer.Option(help='Random arguments of these shapes, as in "4x3 2x3 2". [default: what NAME_args() returns]'),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the random points and cotangents.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Derive a gradient in several independent ways and compare. Exit code 1 where anything disagrees."""
    from minirnn.derivations import builtin_cells, compare, registered_cells
    from minirnn.layers import Cell

    with one_line_errors(ValueError, TypeError):
        _check_options(target, every, backward, shapes)
        if target is None:
            cells = registered_cells() if every else builtin_cells()
            results = {name: compare(cell, seed=seed) for name, cell in cells.items()}
        else:
            module, name, found = find(target)
            if not (isinstance(found, Cell) or (isinstance(found, type) and issubclass(found, Cell))):
                report = _function_report(module, name, found, backward, shapes, seed, as_json)
                typer.echo(json.dumps(report.as_dict(), indent=2) if as_json else str(report))
                raise typer.Exit(0 if report.ok else 1)
            if backward or shapes:
                raise ValueError(f"{target} is a Cell; --backward and --shapes belong to a function")
            with users_errors_named(name):
                results = {name: compare(found if isinstance(found, Cell) else _built(found), seed=seed)}
    if as_json:
        typer.echo(json.dumps({name: result.as_dict() for name, result in results.items()}, indent=2))
    else:
        _print_table(results)
    raise typer.Exit(0 if all(result.ok for result in results.values()) else 1)


def _check_options(target: str | None, every: bool, backward: str | None, shapes: str | None) -> None:
    if target is None and (backward or shapes):
        raise ValueError("--backward and --shapes belong to a function; name one, as in file.py:name")
    if target is not None and every:
        raise ValueError(f"--all and {target!r} came; give one of them")


# ---------------------------------------------------------------- cells
def _built(cls: Any) -> "Cell":
    """A small cell of a class. ValueError: it does not take (input_size, hidden_size)."""
    import numpy as np

    try:
        return cls(3, 4, rng=np.random.default_rng(0))
    except TypeError as error:
        raise ValueError(
            f"{cls.__name__}(3, 4, rng=...) fails: {error}; name an instance in place of the class, as in "
            f"cell = {cls.__name__}(...)"
        ) from error


def _print_table(results: "dict[str, Comparison]") -> None:
    from rich.console import Console
    from rich.table import Table

    methods = list(next(iter(results.values())).findings)
    table = Table("cell", *methods, title="worst relative error of each derivation against autograd's gradient")
    for name, result in results.items():
        table.add_row(name, *[_cell_text(result.findings[method]) for method in methods])
    console = Console(highlight=False)
    console.print(table)
    for name, result in results.items():
        for method, finding in result.findings.items():
            if finding.verdict == "FAIL":
                console.print(
                    f"{name}: {method} FAILS: off by {finding.error:.1e} in {finding.worst}, at most "
                    f"{finding.bound:.0e} was expected. {finding.reason}".rstrip(),
                    markup=False,
                    soft_wrap=True,
                )
            elif finding.verdict == "n/a":
                console.print(f"{name}: {method} n/a: {finding.reason}", markup=False, soft_wrap=True)
        if result.zero:
            console.print(f"{name}: the gradient is zero throughout for {', '.join(result.zero)}", markup=False)
    console.print("PASS" if all(result.ok for result in results.values()) else "FAIL")


def _cell_text(finding: "Finding") -> str:
    if finding.verdict == "n/a" or finding.error is None:
        return finding.verdict
    return f"{finding.verdict} {finding.error:.0e}"


# ---------------------------------------------------------------- functions
def _function_report(
    module: ModuleType, name: str, function: Any, backward: str | None, shapes: str | None, seed: int, quiet: bool
) -> "Report":
    from minirnn.cli.backwards import beside
    from minirnn.gradcheck import gradcheck

    if not callable(function) or isinstance(function, type):
        raise ValueError(f"{name} is {type(function).__name__}, a Cell or a function was expected")
    owner: Any = module
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    if backward is None:
        vjp = beside(owner, last)
    elif backward == "autograd":
        vjp = None
    else:
        vjp = find(backward)[2] if ":" in backward else getattr(owner, backward, getattr(module, backward, None))
        if not callable(vjp):
            raise ValueError(f"--backward {backward} came; {module.__name__} has no such function")
    with users_errors_named(f"{name}_args"):
        args = _arguments(module, name, shapes, seed)
    with users_errors_named(name if vjp is None else f"{name} or its backward"):
        return gradcheck(function, *args, vjp=vjp, seed=seed, progress=not quiet)


def _arguments(module: ModuleType, name: str, shapes: str | None, seed: int) -> tuple[Any, ...]:
    """What NAME_args() returns, or random arrays of the given shapes."""
    import numpy as np

    if shapes is None:
        make = getattr(module, f"{name.rpartition('.')[2]}_args", None)
        if make is None:
            raise ValueError(
                f"{name} needs arguments: define {name}_args() beside it, which returns a tuple of them, or give their "
                'shapes, as in --shapes "4x3 2x3 2"'
            )
        made = make()
        return made if isinstance(made, tuple) else (made,)
    rng = np.random.default_rng(seed)
    try:
        sizes = [tuple(int(n) for n in shape.split("x")) for shape in shapes.split()]
    except ValueError:
        raise ValueError(f'--shapes {shapes!r} came, shapes as in "4x3 2x3 2" were expected') from None
    return tuple(rng.standard_normal(shape) for shape in sizes)
