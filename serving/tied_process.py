"""Run a command that ends when its parent does, however the parent ends.

    python serving/tied_process.py <pid of the parent> <command> [argument …]

The kernel sends SIGTERM to the command once the *thread* that started it is gone (prctl PR_SET_PDEATHSIG), so start it
from a thread that lives as long as the command shall. Done in a process of its own, because code between fork and exec
(`preexec_fn`) may deadlock in a parent that has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it ended before the line above took hold
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 (no shell is the point)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
