"""Progress of long work, told once and shown wherever somebody looks.

A stage says what it does with `stage(...)` and `track(...)`. Where `REASEQ_PROGRESS` names a file (the local runner
sets it, because components are processes of their own), events are appended to it as JSON lines for the command line
to draw; otherwise a terminal gets a rich bar and a log gets a line every ten seconds.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.progress import track as rich_track

from reaseq.errors import ReaSeqError

T = TypeVar("T")

ENV = "REASEQ_PROGRESS"
_INTERVAL = 0.25  # seconds between two events of one bar
_LOG_INTERVAL = 10.0


def emit(event: str, **fields: object) -> None:
    """Append one event to the progress file, if there is one; short appends are atomic, so processes may share it."""
    target = os.environ.get(ENV)
    if target:
        line = json.dumps({"event": event, "time": time.time(), **fields}, default=str)
        with Path(target).open("a") as file:
            file.write(line + "\n")


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Report the start, the end and, for a `ReaSeqError`, the reason of a stage."""
    started = time.perf_counter()
    emit("stage_started", stage=name)
    try:
        yield
    except ReaSeqError as error:
        emit("stage_failed", stage=name, type=type(error).__name__, message=str(error))
        raise
    emit("stage_finished", stage=name, seconds=round(time.perf_counter() - started, 3))


def note(text: str) -> None:
    """One line that a person should see: what was resumed, skipped or made."""
    if os.environ.get(ENV):
        emit("note", text=text)
    else:
        print(text, file=sys.stderr)


def track(items: Iterable[T], description: str, total: int | None = None, done: int = 0) -> Iterator[T]:
    """Yield the items and report how far the work is.

    Args:
        items: what is worked through.
        description: shown beside the bar.
        total: number of items in all; taken from `len(items)` where that exists.
        done: how many of `total` an earlier start finished already.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items) + done  # type: ignore[arg-type]
    if os.environ.get(ENV):
        yield from _emitting(items, description, total, done)
    elif sys.stderr.isatty():
        yield from rich_track(items, description, total=total, completed=done, transient=True)
    else:
        yield from _logging(items, description, total, done)


def _emitting(items: Iterable[T], description: str, total: int | None, done: int) -> Iterator[T]:
    last = 0.0
    for count, item in enumerate(items, start=done + 1):
        yield item
        if time.monotonic() - last >= _INTERVAL or count == total:
            last = time.monotonic()
            emit("progress", description=description, done=count, total=total)


def _logging(items: Iterable[T], description: str, total: int | None, done: int) -> Iterator[T]:
    last = time.monotonic()
    for count, item in enumerate(items, start=done + 1):
        yield item
        if time.monotonic() - last >= _LOG_INTERVAL:
            last = time.monotonic()
            print(f"{description}: {count}/{total if total is not None else '?'}", file=sys.stderr, flush=True)
