"""A run in a folder: run.json (what is trained, on what, how well), checkpoints, and in the end the weights.

run.json, config.toml   from the beginning; run.json with the figures at the end
checkpoints/            as `Checkpoints` keeps them
metrics.jsonl, .csv     as `MetricsLog` writes them
model.safetensors       the weights, once the run has finished
"""

import datetime
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from minirnn.data import Tokenizer, tokenizer_from_dict
from minirnn.module import Module
from minirnn.saving import load, save
from minirnn.train.checkpoints import Checkpoints
from minirnn.train.config import TrainConfig
from minirnn.train.config_files import config_text
from minirnn.train.environment import environment
from minirnn.train.experiment import Experiment
from minirnn.train.language_model import language_model
from minirnn.train.sequence_task import task_model, task_of
from minirnn.whole_file import remove_passing, write_whole

__all__ = ["Description", "Run", "begin_run", "finish_run", "load_run", "read_description", "reserve_run", "weights"]

FORMAT = 2
DESCRIPTION, WEIGHTS, CHECKPOINTS, METRICS = "run.json", "model.safetensors", "checkpoints", "metrics.jsonl"


class Run(NamedTuple):
    """A trained model with its tokenizer (None: a task's), the options that made it, its figures, and its data."""

    model: Module
    tokenizer: Tokenizer | None
    config: TrainConfig
    figures: Mapping[str, float]
    data: Mapping[str, Any]


class Description(NamedTuple):
    """What run.json says."""

    config: TrainConfig
    tokenizer: Tokenizer | None
    data: dict[str, Any]
    figures: dict[str, float]
    environment: dict[str, Any]
    finished: bool
    started: str


def reserve_run(folder: str | os.PathLike[str]) -> Path:
    """Make the folder, and see that a run can be written there and that none is there yet.

    FileExistsError: the folder holds a run, or a file has its name. OSError: it cannot be made or written to.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: a file is there, a folder was expected")
    there = [name for name in (DESCRIPTION, WEIGHTS, CHECKPOINTS, METRICS) if (folder / name).exists()]
    if there:
        raise FileExistsError(
            f"{folder} already holds a run ({', '.join(there)}); choose another folder, or go on with it: "
            f"minirnn train --resume {folder}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ".writable", b"")
    (folder / ".writable").unlink()
    return folder


def begin_run(folder: str | os.PathLike[str], experiment: Experiment, ranks: int = 1) -> None:
    """Reserve the folder and describe the run there. Raises what reserve_run raises."""
    folder = reserve_run(folder)
    now = environment(experiment.model, ranks)
    write_whole(folder / "config.toml", config_text(experiment.config).encode())
    _describe(folder, experiment.config, experiment.tokenizer, experiment.data, {}, now, started=_now())


def finish_run(run: Run, folder: str | os.PathLike[str]) -> None:
    """Write the weights, then the figures; each file appears whole or not at all."""
    folder = Path(folder)
    before = read_description(folder)
    remove_passing(folder)
    save(run.model, folder / WEIGHTS)
    _describe(
        folder,
        run.config,
        run.tokenizer,
        run.data,
        run.figures,
        before.environment,
        started=before.started,
        finished=True,
    )


def load_run(folder: str | os.PathLike[str]) -> Run:
    """The model of a run, finished or not: its best weights, or those of the newest intact checkpoint.

    FileNotFoundError: no such folder, no run in it, or no checkpoint yet. ValueError: files that are damaged or do not
    belong together.
    """
    folder = Path(folder)
    described = read_description(folder)
    config, tokenizer = described.config, described.tokenizer
    path = folder / DESCRIPTION
    if config.task is None and tokenizer is None:
        raise ValueError(f"{path}: the run of a text without a tokenizer; the file is damaged")
    model = task_model(config, task_of(config)) if tokenizer is None else language_model(config, len(tokenizer))
    if described.finished:
        if not (folder / WEIGHTS).is_file():
            raise FileNotFoundError(f"{folder} holds no whole run: {WEIGHTS} is not there")
        load(model, folder / WEIGHTS)
        return Run(model, tokenizer, config, described.figures, described.data)
    found = Checkpoints(folder / CHECKPOINTS).latest()
    if found is None:
        raise FileNotFoundError(f"{folder}: the run has no checkpoint yet, and so no weights")
    try:
        model.load_state_dict(weights(found.state))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{found.path}: not of the model that {path} describes: {error}") from error
    return Run(model, tokenizer, config, {"steps": found.step}, described.data)


def weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that a checkpoint was validated with: the average's in place of the model's, where there is one."""
    averaged = (state.get("average") or {}).get("weights") or {}
    return {**state["model"], **averaged}


def read_description(folder: str | os.PathLike[str]) -> Description:
    """What a run's run.json says. FileNotFoundError: no such folder or file. ValueError: it is damaged."""
    folder = Path(folder)
    path = folder / DESCRIPTION
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; a run is a folder that `minirnn train --out` wrote")
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no run: {DESCRIPTION} is not there")
    try:
        described = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON, or is damaged ({error})") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        came = described.get("format") if isinstance(described, dict) else type(described).__name__
        raise ValueError(f"{path}: format {came!r} came, {FORMAT} was expected: no run of this version of minirnn")
    kinds = {"config": dict, "data": dict, "figures": dict, "environment": dict, "finished": bool, "started": str}
    wrong = [name for name, kind in kinds.items() if not isinstance(described.get(name), kind)]
    if wrong:
        raise ValueError(f"{path}: {', '.join(wrong)} missing or of another kind; the file is damaged")
    tokenizer = described.get("tokenizer")
    try:
        config = TrainConfig(**described["config"])
        made = None if tokenizer is None else tokenizer_from_dict(tokenizer)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the config makes no model ({error})") from error
    return Description(config, made, *[described[name] for name in list(kinds)[1:]])


def _describe(
    folder: Path,
    config: TrainConfig,
    tokenizer: Tokenizer | None,
    data: Mapping[str, Any],
    figures: Mapping[str, float],
    where: Mapping[str, Any],
    *,
    started: str,
    finished: bool = False,
) -> None:
    described = {
        "format": FORMAT,
        "finished": finished,
        "started": started,
        "config": asdict(config),
        "figures": figures,
        "data": data,
        "environment": where,
        "tokenizer": None if tokenizer is None else tokenizer.to_dict(),
    }
    write_whole(folder / DESCRIPTION, json.dumps(described, ensure_ascii=False, indent=2).encode())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
