"""TensorBoard event files, with the extra `tensorboard`."""

import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.late import late
from minirnn.layers import Cell
from minirnn.module import Array, Module
from minirnn.train.callbacks import Callback, Progress
from minirnn.train.training import Training

__all__ = ["TensorBoard", "gates_and_states", "has_tensorboard", "require_tensorboard"]

GATES = ("write", "keep", "candidate", "show", "reset")  # what minirnn.analysis calls them, whatever the cell does
NOT_SEEN = {"x", "outputs"}  # a step's input is no work of it, and its output mostly is its state
BINS = 50

# minirnn.analysis may be left out
_record_cells = late("minirnn.analysis.recording", "record_cells")
_synonyms = late("minirnn.analysis.vocabulary", "synonyms")


def has_tensorboard() -> bool:
    """Whether the extra is installed."""
    try:
        return importlib.util.find_spec("tensorboardX") is not None
    except ValueError:  # imports of it are blocked
        return False


def require_tensorboard() -> None:
    """ModuleNotFoundError: the extra is not installed."""
    if not has_tensorboard():
        raise ModuleNotFoundError("TensorBoard files need tensorboardX: pip install 'minirnn[tensorboard]'")


class TensorBoard(Callback):
    """Writes loss, gradient norm, learning rate and the validation's metrics as scalars into a folder's event files.

    excerpt: inputs (T, B, ...) of the model, a few; histograms of `gates_and_states` on them are written too. shown:
    model -> a text to be written, such as a sample. Both before the first step, at each validation, and at the end, of
    the average of the weights where there is one; the training does not change for it.

    `tensorboard --logdir FOLDER` shows them. When a checkpoint is taken up, a new file goes on from its step, and what
    came after that step before is no longer shown. ModuleNotFoundError: the extra is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        excerpt: Array | None = None,
        shown: Callable[[Module], str] | None = None,
    ):
        require_tensorboard()
        self.folder = Path(folder)
        self.excerpt, self.shown = excerpt, shown
        self._writer: Any = None
        self._looked: int | None = None  # the step of the last look

    def on_start(self, training: Training) -> None:
        from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

        done = training.step_number
        seen = None if done else self._seen(training)  # what cannot be seen raises before there is a file
        # a file is called by the second; a training that goes on within it must not write over what is there
        anew = {"purge_step": done + 1, "filename_suffix": f".from{done}"} if done else {}
        self._writer = SummaryWriter(str(self.folder), **anew)
        if seen is not None:
            self._write(*seen, done)

    def on_step(self, training: Training, progress: Progress) -> None:
        figures = {"loss": progress.loss, "grad_norm": progress.grad_norm, "lr": progress.lr}
        validation = {f"validation/{name}": value for name, value in progress.validation.items()}
        for name, value in ({f"train/{name}": value for name, value in figures.items()} | validation).items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, progress.step)
        if progress.validation:
            self._write(*self._seen(training), progress.step)

    def on_save(self, training: Training) -> None:
        self._writer.flush()

    def on_end(self, training: Training, error: BaseException | None) -> None:
        if self._writer is None:
            return
        try:
            if error is None and self._looked != training.step_number:
                self._write(*self._seen(training), training.step_number)
        finally:
            self._writer.close()
            self._writer = None

    def _seen(self, training: Training) -> tuple[dict[str, Array], str | None]:
        """The histograms' values and the text, of the model as it is."""
        model = training.validated
        values = {} if self.excerpt is None else gates_and_states(model, self.excerpt)
        return values, None if self.shown is None else self.shown(model)

    def _write(self, values: dict[str, Array], text: str | None, step: int) -> None:
        for name, of_name in values.items():
            finite = of_name[np.isfinite(of_name)].astype(np.float64)
            if finite.size:
                self._writer.add_histogram(name, finite, step, bins=BINS)
        if text is not None:
            self._writer.add_text("shown", _as_markdown(text), step)
        self._looked = step


def gates_and_states(model: Module, xs: Array) -> dict[str, Array]:
    """What the gates and the state of every recurrent cell of the model are over xs: "path of the cell/name" -> values
    (T, B, ...).

    Gates go by one name in all cells: write, keep, candidate, show, reset, those that the cell has; states by their
    own, h, c, .... Of a cell whose gates `minirnn.analysis` does not know, it is every array of a state's shape that
    its step names. Noise is off. ValueError: no recurrent cell runs.
    """
    cells = {path: cell for path, cell in model.named_modules() if isinstance(cell, Cell)}
    states = {path: _state_shapes(cell) for path, cell in cells.items()}
    known = {path: set(GATES) & set(_synonyms(cell)) for path, cell in cells.items()}
    named = _record_cells(model, xs, list(dict.fromkeys([*GATES, *(name for s in states.values() for name in s)])))
    every = {} if all(known[path] for path in named) else _record_cells(model, xs, None)
    found: dict[str, Array] = {}
    for path, values in named.items():
        if known[path]:
            kept = {name: a for name, a in values.items() if name in known[path] or name in states[path]}
        else:
            shapes, left_out = set(states[path].values()), NOT_SEEN - states[path].keys()
            kept = {name: a for name, a in every[path].items() if a.shape[2:] in shapes and name not in left_out}
        found |= {f"{path or 'cell'}/{name}": array for name, array in kept.items()}
    return found


def _state_shapes(cell: Cell) -> dict[str, tuple[int, ...]]:
    """Name of an array of the state, as it is recorded, -> its shape without the batch."""
    return {name or "h": np.shape(leaf)[1:] for name, leaf in tree.named_leaves(cell.initial_state(1))}


def _as_markdown(text: str) -> str:
    """The text as it stands, line by line; TensorBoard reads Markdown."""
    whole = text.encode(errors="replace").decode()  # half a surrogate pair cannot be written
    return "\n".join("    " + line for line in whole.split("\n"))
