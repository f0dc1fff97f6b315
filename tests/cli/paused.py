"""`python paused.py STEP WORDS`: minirnn WORDS, whose training stops after STEP until it is told to go on. It heeds
Ctrl-C, also where it is started in the background."""

import os
import signal
import sys

from minirnn.cli import main
from minirnn.train.metrics import MetricsLog

_, STEP, *words = sys.argv
write = MetricsLog.on_step


def write_and_pause(self, training, progress):
    write(self, training, progress)
    if progress.step == int(STEP):
        os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    MetricsLog.on_step = write_and_pause
    sys.argv = ["minirnn", *words]
    main()
