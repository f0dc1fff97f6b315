"""Sweeps: many trials of one function, or of a training, chosen by Optuna and run on Dask.

sweep        of any function of options
sweep_runs   of `minirnn train`, as a spec says: each trial an ordinary run folder
Spec         what a SPEC.toml says

Optuna and Dask come with the extra `sweep`, and are imported where they are needed.
"""

from minirnn.sweep.driver import Result, Standing, Tried, sweep
from minirnn.sweep.report import plot_sweep, write_csv
from minirnn.sweep.runs import sweep_runs
from minirnn.sweep.space import Choices, Range, make_space
from minirnn.sweep.spec import Spec, read_spec
from minirnn.sweep.trial import Outcome, PrunedError, Trial

__all__ = [
    "Choices",
    "Outcome",
    "PrunedError",
    "Range",
    "Result",
    "Spec",
    "Standing",
    "Trial",
    "Tried",
    "make_space",
    "plot_sweep",
    "read_spec",
    "sweep",
    "sweep_runs",
    "write_csv",
]
