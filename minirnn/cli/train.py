"""minirnn train: a language model of any text, or a model of a synthetic task."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from minirnn.cli.errors import one_line_errors, one_line_warnings, say
from minirnn.cli.options import with_config_options

if TYPE_CHECKING:
    from minirnn.parallel import Communicator
    from minirnn.train import Experiment, Run, TrainConfig

__all__ = ["train"]


@with_config_options
def train(
    text: Annotated[
        Path | None,
        typer.Argument(help="A UTF-8 file, or a folder of them. (default: the source of Python's standard library)"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; it must not hold one. (default: runs/1, runs/2, ...)")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with the unfinished run in this folder.")] = None,
    preset: Annotated[str | None, typer.Option(help="Options that come with minirnn, as in tinyshakespeare.")] = None,
    config: Annotated[Path | None, typer.Option(help="Options from a TOML file, as a run's config.toml.")] = None,
    **options: Any,
) -> None:
    """Train a language model of a text by truncated back-propagation through time, or a model of a synthetic task.

    The last tenth of a text, up to 5 million characters, is held out; its bits per character are printed beside those
    of n-gram models, and a sample. Options on the command line go before those of --config, and these before those of
    --preset. Ctrl-C saves; --resume goes on, to the same bits. Under `mpiexec -n N` (extra `mpi`) a batch's streams are
    divided over N ranks.
    """
    from minirnn.parallel import guard, world

    given = {name: value for name, value in options.items() if value is not None}
    with one_line_errors(ImportError, RuntimeError):
        comm = world()
    with guard(comm), _one_voice(comm.rank):
        _train(text, out, resume, preset, config, given, comm)


def _train(
    text: Path | None,
    out: Path | None,
    resume: Path | None,
    preset: str | None,
    config: Path | None,
    given: dict[str, Any],
    comm: "Communicator",
) -> None:
    from minirnn.parallel import DifferentRanksError, RankFailedError, first, together
    from minirnn.train import CheckpointError, DivergedError, ProgressBar, TrainingInterrupted, resumed_experiment
    from minirnn.train import train as run_training
    from minirnn.train.execute import experiment_of
    from minirnn.train.run import reserve_run

    with one_line_errors(ValueError, OSError, ImportError, RankFailedError), one_line_warnings():
        if resume is not None:
            named = {"TEXT": text, "--out": out, "--preset": preset, "--config": config}
            also = [name for name, value in named.items() if value is not None]
            also += [f"--{name.replace('_', '-')}" for name in given]
            together(comm, lambda: _check_alone(also))
            folder, experiment = resume, resumed_experiment(resume, comm)
        else:
            made = together(comm, lambda: _config(text, preset, config, given))
            folder = first(comm, lambda: reserve_run(out if out is not None else _next_run()))
            try:
                experiment = experiment_of(made, comm)
            except BaseException:
                with contextlib.suppress(OSError):  # something else is in it
                    folder.rmdir()
                raise
    _describe(experiment)
    if comm.size > 1:
        typer.echo(f"on {comm.size} ranks, up to {-(-experiment.config.batch // comm.size)} streams each")
    try:
        with (
            one_line_errors(DivergedError, CheckpointError, OSError, RankFailedError, DifferentRanksError),
            one_line_warnings(),
        ):
            bar = ProgressBar(experiment.tokens_per_step)
            run = run_training(experiment, folder, callbacks=[bar], resume=resume is not None, comm=comm)
    except TrainingInterrupted as interrupted:
        say(f"{interrupted}. Go on with: minirnn train --resume {folder}")
        raise typer.Exit(130) from None
    except KeyboardInterrupt:
        say(f"stopped. Go on from the newest checkpoint, if there is one, with: minirnn train --resume {folder}")
        raise typer.Exit(130) from None
    _report(run, folder, experiment)


@contextlib.contextmanager
def _one_voice(rank: int) -> Iterator[None]:
    """Within the block, a rank other than 0 prints nothing."""
    with contextlib.ExitStack() as stack:
        if rank > 0:
            nothing = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nothing))
            stack.enter_context(contextlib.redirect_stderr(nothing))
        yield


def _check_alone(also: list[str]) -> None:
    if also:
        raise ValueError(f"--resume goes on with a run as it is; leave out {', '.join(also)}")


def _config(text: Path | None, preset_name: str | None, file: Path | None, given: dict[str, Any]) -> "TrainConfig":
    from minirnn.train import make_config, preset, read_config

    named = {} if text is None else {"text": os.path.abspath(text)}
    first = {} if preset_name is None else preset(preset_name)
    return make_config(first, {} if file is None else read_config(file), {**given, **named})


def _next_run() -> Path:
    return next(path for i in itertools.count(1) if not (path := Path("runs", str(i))).exists())


def _describe(experiment: "Experiment") -> None:
    data, tokenizer = experiment.data, experiment.tokenizer
    if tokenizer is None:
        typer.echo(
            f"task: {data['source']}\n      a loss of {data['baseline']:.4f} is had by one that {data['baseline_is']}"
        )
    else:
        strangers = f", {data['unknown']} of them unknown" * bool(data["unknown"])
        typer.echo(
            f"text: {data['source']}: {data['characters']:,} characters\n"
            f"      {data['training']:,} tokens for training, {tokenizer!r}; the last {data['held_out']:,} held out"
            f"{strangers}"
        )
        yardsticks = "   ".join(f"{name} {bits:.3f}" for name, bits in data["yardsticks"].items())
        typer.echo(f"held-out bits/char of n-gram models: {yardsticks}")
    typer.echo(f"\n{experiment.model}\n")


def _report(run: "Run", folder: Path, experiment: "Experiment") -> None:
    import math

    figures = run.figures
    speed = f"after {figures['steps']:,} steps of {1000 * figures['seconds_per_step']:.1f} ms"
    if run.tokenizer is None:
        beaten = "below" if figures["held_out_loss"] < run.data["baseline"] else "not below"
        typer.echo(
            f"\nheld-out loss: {figures['held_out_loss']:.4f}, {speed}; {beaten} the {run.data['baseline']:.4f} "
            f"of one that {run.data['baseline_is']}\n{run.data['metric']}: {figures['held_out_metric']:.1%}\n"
            f"saved in {folder}"
        )
        return
    bits = figures["held_out_bits_per_char"]
    typer.echo(
        f"\nheld-out bits/char: {bits:.3f} (perplexity of a token {figures['perplexity']:.2f}, "
        f"{bits * math.log(2):.3f} nats/char), {speed}"
    )
    for name, other in run.data["yardsticks"].items():
        typer.echo(f"  {'below' if bits < other else 'above'} the {name} model's {other:.3f}")
    typer.echo(f"\na sample at temperature 0.7:\n{experiment.shown(run.model)}\n")
    typer.echo(f"saved in {folder}; continue a text with: minirnn sample {folder} --prime TEXT")
