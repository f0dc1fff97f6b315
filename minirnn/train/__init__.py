"""Training: the loop, checkpoints and exact resumption, language models and tasks, and runs kept in folders.

fit                          the loop, for any model, loss and batches
Checkpoints, Callback, ...   what it saves, and who it tells
TrainConfig, train, load_run what the commands do: a config made into an experiment, trained into a folder, read again
"""

from minirnn.train.average import EMA, NTASGD, WeightAverage
from minirnn.train.callbacks import Callback, EarlyStopping, Progress
from minirnn.train.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from minirnn.train.checkpoints import Checkpoints, DamagedCheckpointWarning
from minirnn.train.config import CELLS, TrainConfig
from minirnn.train.config_files import config_text, make_config, preset, preset_names, read_config
from minirnn.train.curves import plot_curves, terminal_curves
from minirnn.train.evaluate import Score, held_out_nats, score
from minirnn.train.execute import experiment_of, resumed_experiment, train
from minirnn.train.experiment import Experiment
from minirnn.train.fit import fit
from minirnn.train.interrupts import TrainingInterrupted
from minirnn.train.language_model import LanguageModel, text_experiment
from minirnn.train.lock import FolderInUseError
from minirnn.train.metrics import MetricsLog, read_metrics
from minirnn.train.nonfinite import DivergedError
from minirnn.train.progress import ProgressBar
from minirnn.train.resuming import InexactResumeWarning, StoppedTrainingWarning
from minirnn.train.run import Run, load_run
from minirnn.train.runs import Evaluation, RunSummary, evaluate, list_runs
from minirnn.train.sample import sample, sample_many
from minirnn.train.sequence_task import task_experiment
from minirnn.train.tensorboard import TensorBoard
from minirnn.train.training import Training

__all__ = [
    # the loop
    "fit",
    "Progress",
    "Training",
    "Callback",
    "EarlyStopping",
    "EMA",
    "NTASGD",
    "WeightAverage",
    "DivergedError",
    "TrainingInterrupted",
    # what it saves
    "Checkpoints",
    "CheckpointError",
    "DamagedCheckpointWarning",
    "FolderInUseError",
    "InexactResumeWarning",
    "StoppedTrainingWarning",
    "read_checkpoint",
    "write_checkpoint",
    # what it shows
    "MetricsLog",
    "ProgressBar",
    "TensorBoard",
    "plot_curves",
    "read_metrics",
    "terminal_curves",
    # experiments and runs
    "CELLS",
    "TrainConfig",
    "config_text",
    "make_config",
    "preset",
    "preset_names",
    "read_config",
    "Experiment",
    "LanguageModel",
    "experiment_of",
    "task_experiment",
    "text_experiment",
    "train",
    "resumed_experiment",
    "Run",
    "RunSummary",
    "list_runs",
    "load_run",
    "Evaluation",
    "evaluate",
    "Score",
    "held_out_nats",
    "score",
    "sample",
    "sample_many",
]
