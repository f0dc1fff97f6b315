"""minirnn sweep: many trainings, their options chosen by Optuna, run on Dask."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minirnn.cli.errors import one_line_errors, one_line_warnings, say

if TYPE_CHECKING:
    from minirnn.sweep import Outcome, Result, Spec, Standing

__all__ = ["sweep"]

SPEC = "spec.toml"


def sweep(
    spec: Annotated[Path | None, typer.Argument(help="A TOML file: base options, space, goal, budget.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the sweep; it must not hold one. (default: sweeps/1, sweeps/2, ...)")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the sweep in this folder.")] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="A Dask scheduler, as in tcp://HOST:8786. (default: processes of this machine)")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of this machine. (default: as many as it has processors for)", min=1)
    ] = None,
) -> None:
    """Search for the best options of a training: a spec names those that differ, their ranges, the goal, the budget.

    Optuna (extra `sweep`) chooses them and ends early what does not promise much; Dask runs the trials, each into an
    ordinary run folder. A trial whose worker dies is gone on with from its checkpoint; --resume goes on with a sweep.
    """
    from minirnn.sweep import read_spec, sweep_runs
    from minirnn.sweep.cluster import connect
    from minirnn.whole_file import write_whole

    with one_line_errors(ValueError, OSError, ImportError), one_line_warnings():
        if (spec is None) == (resume is None):
            raise ValueError("give a SPEC.toml, or --resume FOLDER")
        if resume is not None and out is not None:
            raise ValueError("--resume goes on with a sweep where it is; leave out --out")
        if scheduler is not None and workers is not None:
            raise ValueError("--workers is for processes of this machine; a scheduler has workers of its own")
        if resume is not None and not (resume / SPEC).is_file():
            raise FileNotFoundError(f"{resume} holds no sweep: {SPEC} is not there")
        read = read_spec(resume / SPEC if resume is not None else spec or "")
        folder = resume or out or _next_sweep()
        if resume is None:
            if (folder / SPEC).exists():
                raise FileExistsError(f"{folder} already holds a sweep; go on with it: minirnn sweep --resume {folder}")
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / SPEC, _with_absolute_text(read).encode())
        try:
            with connect(scheduler, workers=workers, threads=read.threads) as client, _live() as show:
                result = sweep_runs(read, folder, client=client, resume=True, on_standing=show)
        except KeyboardInterrupt:
            say(f"stopped. Go on with: minirnn sweep --resume {folder}")
            raise typer.Exit(130) from None
        _report(read, result, folder)


def _next_sweep() -> Path:
    return next(path for i in itertools.count(1) if not (path := Path("sweeps", str(i))).exists())


def _with_absolute_text(spec: "Spec") -> str:
    """The spec's own words; a text's path no longer depends on where the file is."""
    import json
    import re

    text = spec.train.get("text")
    if text is None:
        return spec.text
    given = r"""(?m)^([^#\n]*\btext\s*=\s*)("[^"\n]*"|'[^'\n]*')"""  # in a table, dotted or inline
    return re.sub(given, lambda found: found[1] + json.dumps(text), spec.text, count=1)


@contextmanager
def _live() -> Iterator[Any]:
    """Shows the standing: a live table on a terminal, elsewhere a line for each trial that ends."""
    from rich.console import Console
    from rich.live import Live

    from minirnn.sweep.report import standing_table

    console = Console(highlight=False, markup=False)  # a reason may hold brackets
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            yield lambda standing: live.update(standing_table(standing), refresh=True)
        return
    said: set[int] = set()

    def say_new(standing: "Standing") -> None:
        for one in standing.trials:
            if one.ended is not None and one.number not in said:
                said.add(one.number)
                score = "" if one.score is None else f" {one.score:.4f}"
                best = "" if standing.best is None else f"; best {standing.best.score:.4f}"
                why = f" ({one.reason})" * bool(one.reason)
                typer.echo(f"trial {one.number}: {one.state}{score}{why}, after {standing.seconds:.0f} s{best}")

    yield say_new


def _report(spec: "Spec", result: "Result", folder: Path) -> None:
    from rich.console import Console

    from minirnn.sweep import plot_sweep, write_csv
    from minirnn.sweep.report import best_table

    console = Console(highlight=False, markup=False)
    console.print(best_table(result.trials, maximize=spec.maximize), width=None if console.is_terminal else 200)
    counts = {state: sum(one.state == state for one in result.trials) for state in ("finished", "pruned", "failed")}
    said = ", ".join(f"{count} {state}" for state, count in counts.items())
    typer.echo(f"\n{len(result.trials)} trials: {said}; workers lost with a trial: {result.lost}")
    if result.importance:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in result.importance.items())
        typer.echo(f"importance: {shares}")
    if result.best is not None:
        typer.echo(f"best {spec.goal}: {result.best.score:.4f}, {result.best.folder}")
    if result.repeats and result.best is not None:
        first, *others = result.repeats
        apart = f" ({_apart(first.score, result.best.score)})" * (first.score is not None)
        typer.echo(f"again with the same seed: {_score(first)}{apart}")
        if others:
            scores = [one.score for one in result.repeats if one.score is not None]
            spread = f"; {max(scores) - min(scores):.4f} from the lowest to the highest" * bool(scores)
            typer.echo(f"with {len(others)} other seeds: {', '.join(map(_score, others))}{spread}")
    write_csv(result, folder / "results.csv")
    try:
        plot_sweep(result, folder / "sweep.png", goal=spec.goal, maximize=spec.maximize)
        typer.echo(f"saved in {folder}: results.csv, sweep.png, trials/")
    except ModuleNotFoundError as error:
        typer.echo(f"saved in {folder}: results.csv, trials/; {error}")


def _score(one: "Outcome") -> str:
    return f"{one.state}: {one.reason}" if one.score is None else f"{one.score:.4f}"


def _apart(one: float | None, other: float | None) -> str:
    return "the same to the bit" if one == other else f"{abs((one or 0.0) - (other or 0.0)):.2g} from it"
