"""A run in a folder: run.json (what was trained, on what, how well) and model.safetensors (the weights). No pickle."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from minirnn.data import Vocabulary
from minirnn.module import Module
from minirnn.saving import load, save, write_whole

__all__ = ["Run", "load_run", "reserve_run", "save_run"]

FORMAT = 1
CONFIG, WEIGHTS = "run.json", "model.safetensors"


class Run(NamedTuple):
    """A trained model with its vocabulary, the options that made it, and its figures."""

    model: Module
    vocabulary: Vocabulary
    config: dict[str, Any]
    figures: dict[str, float]


def reserve_run(folder: str | os.PathLike[str]) -> Path:
    """Make the folder, and see that a run can be written there and that none is there yet.

    FileExistsError: the folder holds a run, or a file has its name. OSError: it cannot be made or written to.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: a file is there, a folder was expected")
    there = [name for name in (CONFIG, WEIGHTS) if (folder / name).exists()]
    if there:
        raise FileExistsError(f"{folder} already holds a run ({', '.join(there)}); choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / ".writable", b"")
    (folder / ".writable").unlink()
    return folder


def save_run(run: Run, folder: str | os.PathLike[str]) -> None:
    """Write the run into its folder, the weights first; each file appears whole or not at all."""
    folder = Path(folder)
    save(run.model, folder / WEIGHTS)
    described = {
        "format": FORMAT,
        "config": run.config,
        "vocabulary": "".join(run.vocabulary.characters[1:]),
        "figures": run.figures,
    }
    write_whole(folder / CONFIG, json.dumps(described, ensure_ascii=False, indent=2).encode())


def load_run(folder: str | os.PathLike[str], build: Callable[[int, dict[str, Any]], Module]) -> Run:
    """Read a run; build(vocabulary size, config) makes the model whose weights are then read.

    FileNotFoundError: no such folder, or no run in it. ValueError: files that are damaged or do not belong together.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; a run is a folder that `minirnn train --out` wrote")
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} holds no run: {' and '.join(missing)} not there")
    vocabulary, config, figures = _described(folder / CONFIG)
    try:
        model = build(len(vocabulary), config)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{folder / CONFIG}: the config makes no model ({error})") from error
    load(model, folder / WEIGHTS)
    return Run(model, vocabulary, config, figures)


def _described(path: Path) -> tuple[Vocabulary, dict[str, Any], dict[str, float]]:
    try:
        described = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON, or is damaged ({error})") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        came = described.get("format") if isinstance(described, dict) else type(described).__name__
        raise ValueError(f"{path}: format {came!r} came, {FORMAT} was expected: no run of this version of minirnn")
    kinds = {"config": dict, "vocabulary": str, "figures": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(described.get(name), kind)]
    if wrong:
        raise ValueError(f"{path}: {', '.join(wrong)} missing or of another kind; the file is damaged")
    return Vocabulary(described["vocabulary"]), described["config"], described["figures"]
