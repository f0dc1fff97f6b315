"""The figures of every step in files: metrics.jsonl, one JSON object a line, and the same as metrics.csv."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from minirnn.train.callbacks import Callback, Progress
from minirnn.train.training import Training
from minirnn.whole_file import write_whole

__all__ = ["MetricsLog", "read_metrics"]

COLUMNS = ("step", "epoch", "loss", "grad_norm", "lr", "skipped", "seconds")


def read_metrics(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a folder's metrics.jsonl in order: step, epoch, loss, grad_norm, lr, skipped, seconds, and the
    validation's metrics where there was one; a number that was not finite is None.

    FileNotFoundError: no such file. A last line that is cut short, and all that follows a damaged one, is left out.
    """
    return list(_records(Path(folder) / "metrics.jsonl"))


class MetricsLog(Callback):
    """Writes the progress of each step into a folder's metrics.jsonl and metrics.csv; each line is written at once.

    When a checkpoint is taken up, what the files hold beyond its step is removed first: but for the seconds they end
    up as those of a training that was never interrupted. FileExistsError: they hold steps of an earlier training, and
    this one is not to go on with it (`fit(..., resume=True)`).
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.folder = Path(folder)
        self._lines: IO[str] | None = None
        self._table: IO[str] | None = None
        self._columns: list[str] = []

    def on_start(self, training: Training) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "metrics.jsonl"
        done = training.step_number
        if not training.resumes and path.exists() and next(_records(path), None) is not None:
            raise FileExistsError(
                f"{path} holds an earlier training's figures; go on with it (resume=True), or choose another folder"
            )
        kept = [record for record in _records(path) if record["step"] <= done] if path.exists() and done else []
        write_whole(path, "".join(_line(record) for record in kept).encode())
        self._lines = path.open("a", encoding="utf-8")
        self._open_table(kept)

    def on_step(self, training: Training, progress: Progress) -> None:
        record = {name: _finite(getattr(progress, name)) for name in COLUMNS}
        record |= {name: _finite(value) for name, value in progress.validation.items()}
        if self._lines is None or self._table is None:
            raise ValueError("MetricsLog: a step came before the training's start")
        self._lines.write(_line(record))
        self._lines.flush()
        if set(record) <= set(self._columns):
            self._table.write(_row(record, self._columns))
            self._table.flush()
        else:  # a new metric: a new column, of all lines so far
            self._open_table(_records(self.folder / "metrics.jsonl"))

    def on_save(self, training: Training) -> None:
        for file in (self._lines, self._table):
            if file is not None:
                os.fsync(file.fileno())

    def on_end(self, training: Training, error: BaseException | None) -> None:
        for file in (self._lines, self._table):
            if file is not None:
                file.close()
        self._lines = self._table = None

    def _open_table(self, records: Iterable[dict[str, Any]]) -> None:
        """The table anew, with a column for everything that the records hold."""
        if self._table is not None:
            self._table.close()
        records = list(records)
        self._columns = list(dict.fromkeys([*COLUMNS, *(name for record in records for name in record)]))
        rows = [",".join(self._columns) + "\n", *(_row(record, self._columns) for record in records)]
        path = self.folder / "metrics.csv"
        write_whole(path, "".join(rows).encode())
        self._table = path.open("a", encoding="utf-8", newline="")


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                record = json.loads(line) if line.endswith("\n") else None
            except (ValueError, RecursionError):
                return
            if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                return
            yield record


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _row(record: dict[str, Any], columns: list[str]) -> str:
    row = io.StringIO()
    values = [record.get(name) for name in columns]
    csv.writer(row, lineterminator="\n").writerow(["" if value is None else value for value in values])
    return row.getvalue()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
