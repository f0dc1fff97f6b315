"""Runs looked at again: those of a folder side by side, and one scored on a text."""

import math
import os
from pathlib import Path
from typing import NamedTuple

from minirnn.data import Corpus, TextFiles, kept_tokens
from minirnn.train.evaluate import score
from minirnn.train.execute import corpus_of
from minirnn.train.language_model import Reading, held_out_start
from minirnn.train.metrics import COLUMNS, read_metrics
from minirnn.train.run import DESCRIPTION, Run, read_description
from minirnn.train.sequence_task import task_figures, task_of

__all__ = ["Evaluation", "RunSummary", "evaluate", "list_runs"]


class RunSummary(NamedTuple):
    """A run in one line. best: the lowest value of `metric`, the validation's first; None before the first."""

    folder: Path
    started: str
    what: str
    finished: bool
    steps: int
    metric: str
    best: float | None
    problem: str | None = None


class Evaluation(NamedTuple):
    """What a run's model makes of a text (or of its task's held-out sequences): figures by name, and what of."""

    what: str
    figures: dict[str, float]


def list_runs(folder: str | os.PathLike[str]) -> list[RunSummary]:
    """The runs in a folder and the folders below it, in the order of their start; a damaged one says so.

    FileNotFoundError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    return sorted((_summary(path.parent) for path in folder.rglob(DESCRIPTION)), key=lambda run: (run.started, run[0]))


def evaluate(run: Run, corpus: Corpus | TextFiles | None = None) -> Evaluation:
    """Score a run's model on a text, by default on what was held out of its own.

    Figures: bits_per_char, nats (a token), perplexity (of a token), accuracy, tokens; of a task: its loss and metric.
    ValueError: a text for a run that learned a task; its own text has become too short. OSError: it is gone.
    """
    if run.tokenizer is None:
        if corpus is not None:
            raise ValueError("this run learned a task, not a text; evaluate it without one")
        task = task_of(run.config)
        return Evaluation(f"{task!r}, sequences of its own", task_figures(run.model, task, run.config.seed))
    start, what = 0, ""
    if corpus is None:
        corpus = corpus_of(run.config)
        start, what = held_out_start(corpus), "the held-out part of "
    read = Reading(run.tokenizer)
    tokens = kept_tokens(read.encoded(corpus, start), len(run.tokenizer))
    found = score(run.model, tokens, read.training)
    bits = found.nats * found.tokens / (corpus.characters - start) / math.log(2)
    figures = {
        "bits_per_char": bits,
        "nats": found.nats,
        "perplexity": found.perplexity,
        "accuracy": found.accuracy,
        "tokens": found.tokens,
    }
    return Evaluation(what + corpus.source, figures)


def _summary(folder: Path) -> RunSummary:
    try:
        described = read_description(folder)
    except (ValueError, OSError) as error:
        return RunSummary(folder, "", "", False, 0, "", None, str(error))
    config = described.config
    size = f"{config.layers}x{config.hidden}" if config.layers > 1 else str(config.hidden)
    text = "Python's standard library" if config.text is None else Path(config.text).name
    what = f"{config.cell} {size} on {config.task or text}"
    try:
        records = read_metrics(folder)
    except OSError:
        records = []
    metric = next((name for record in records for name in record if name not in COLUMNS), "")
    values = [record[metric] for record in records if record.get(metric) is not None] if metric else []
    steps = records[-1]["step"] if records else 0
    return RunSummary(
        folder, described.started, what, described.finished, steps, metric, min(values) if values else None
    )
