"""Training: the loop, character language models, their evaluation and sampling, and runs kept in folders."""

from minirnn.train.evaluate import held_out_nats
from minirnn.train.fit import DivergedError, Progress, fit
from minirnn.train.language_model import CELLS, LanguageModel, LanguageModelConfig, train_language_model
from minirnn.train.run import Run, load_run, reserve_run, save_run
from minirnn.train.sample import sample

__all__ = [
    "CELLS",
    "DivergedError",
    "LanguageModel",
    "LanguageModelConfig",
    "Progress",
    "Run",
    "fit",
    "held_out_nats",
    "load_run",
    "reserve_run",
    "sample",
    "save_run",
    "train_language_model",
]
