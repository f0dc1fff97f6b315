"""A training to be killed: `python survivor.py FOLDER [EVERY [STAGE COUNT]]` takes up what is in FOLDER and goes on.
`python survivor.py --forks` does so in a child for each folder that it reads, and kills it at the next line.

It heeds Ctrl-C, also where it is started in the background.

It uses all that has to be carried over a kill: two layers, dropout, accumulation, a plateau, an average, callbacks.
STAGE kills it in the middle of its COUNT-th save: before or after the file is flushed, renamed, or the old one removed.
"pause" stops it after its COUNT-th step until it is told to go on; "full" lets no file be longer than COUNT bytes.
"""

import os
import pathlib
import resource
import signal
import sys
import traceback

import numpy as np

from minirnn.data import streams
from minirnn.optim import AdamW, ReduceOnPlateau
from minirnn.train import EMA, Checkpoints, EarlyStopping, LanguageModel, MetricsLog, fit, held_out_nats
from minirnn.train.language_model import next_token_loss

STEPS, EVERY = 100, 3


def survive(folder, *, steps=STEPS, every=EVERY, callbacks=(), resume=True):
    """Train into the folder, from where the training in it ended."""
    tokens = np.random.default_rng(1).integers(0, 7, 500)
    model = LanguageModel(7, "gru", 4, 2, 3, dropout=0.2, rng=np.random.default_rng(2))
    return fit(
        model,
        next_token_loss,
        streams(tokens[:450], batch=2, seq_length=4),
        AdamW(model, lr=0.01),
        steps=steps,
        accumulate=2,
        clip_norm=1.0,
        schedule=lambda steps: ReduceOnPlateau(0.01, patience=0),
        validate=lambda model: held_out_nats(model, tokens, 450, streams=4, seq_length=16),
        val_every=20,
        average=EMA(0.9),
        callbacks=[MetricsLog(folder), EarlyStopping(1000), *callbacks],
        checkpoints=Checkpoints(pathlib.Path(folder) / "checkpoints", every=every),
        resume=resume,
        rng=np.random.default_rng(3),
    )


def die_at(stage, count):
    """Have the count-th call of os.fsync or os.replace, or of the removal of a checkpoint, end this process."""
    when, _, name = stage.partition(" ")
    where = pathlib.Path if name == "unlink" else os
    real, calls = getattr(where, name), 0

    def call(*args, **kwargs):
        nonlocal calls
        ours = "safetensors" in str(args[0]) or name == "fsync"
        calls += ours
        if ours and calls == count and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if ours and calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(where, name, call)


def pause(progress):
    if sys.argv[3:4] == ["pause"] and progress.step == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGSTOP)


def kill_each():
    """The children's exit codes. To fork takes a hundredth of what Python takes to start."""
    for folder in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            try:
                survive(folder.rstrip("\n"), callbacks=[pause])
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print("ready", flush=True)
        sys.stdin.readline()
        os.kill(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.argv[1:] == ["--forks"]:
        sys.exit(kill_each())
    folder, every, stage, count = [*sys.argv[1:], *[EVERY, "", 0][len(sys.argv) - 2 :]]
    if stage == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(count), int(count)))
    elif stage not in ("", "pause"):
        die_at(stage, int(count))
    print("ready", flush=True)
    survive(folder, every=int(every), callbacks=[pause])
