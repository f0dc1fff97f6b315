"""TensorBoard event files, with the extra `tensorboard`."""

import importlib.util
import math
import os
from pathlib import Path
from typing import Any

from minirnn.train.callbacks import Callback, Progress
from minirnn.train.training import Training

__all__ = ["TensorBoard", "has_tensorboard"]


def has_tensorboard() -> bool:
    """Whether the extra is installed."""
    try:
        return importlib.util.find_spec("tensorboardX") is not None
    except ValueError:  # imports of it are blocked
        return False


class TensorBoard(Callback):
    """Writes loss, gradient norm, learning rate and the validation's metrics as scalars into a folder's event files.

    `tensorboard --logdir FOLDER` shows them. When a checkpoint is taken up, a new file goes on from its step, and what
    came after that step before is no longer shown. ModuleNotFoundError: the extra is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        if not has_tensorboard():
            raise ModuleNotFoundError("TensorBoard files need tensorboardX: pip install 'minirnn[tensorboard]'")
        self.folder = Path(folder)
        self._writer: Any = None

    def on_start(self, training: Training) -> None:
        from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

        done = training.step_number
        self._writer = SummaryWriter(str(self.folder), purge_step=done + 1 if done else None)

    def on_step(self, training: Training, progress: Progress) -> None:
        figures = {"loss": progress.loss, "grad_norm": progress.grad_norm, "lr": progress.lr}
        validation = {f"validation/{name}": value for name, value in progress.validation.items()}
        for name, value in ({f"train/{name}": value for name, value in figures.items()} | validation).items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, progress.step)

    def on_save(self, training: Training) -> None:
        self._writer.flush()

    def on_end(self, training: Training, error: BaseException | None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
