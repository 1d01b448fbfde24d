"""`reaseq.behavior.worker`, of which every process ends at the checkpoint that its first argument counts."""

import os
import sys
from typing import Any

from reaseq.behavior import training, worker

saves, real = 0, training.save_checkpoint


def save_and_die(*args: Any) -> None:
    global saves
    real(*args)
    saves += 1
    if saves == int(sys.argv[1]):
        os._exit(3)


training.CHECKPOINT_STEPS = training.LOG_STEPS = 2
training.save_checkpoint = save_and_die
sys.exit(worker.main(sys.argv[2:]))
