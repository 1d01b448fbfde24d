"""Pages that a command writes where its user says."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from reaseq.artifacts import write_text
from reaseq.errors import ReaSeqError


class PageError(ReaSeqError):
    """The page can't be written where it was asked for."""


def check_writable(path: Path) -> None:
    """Refuse a place where no file can be written, before any work is done for it.

    Raises:
        PageError: it is a folder, its folder is not there, or nothing may be written there.
    """
    with _refusal(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with TemporaryFile(dir=path.parent):
            pass


def save(path: Path, page: str) -> None:
    """Write the page whole or not at all.

    Raises:
        PageError: the file can't be written.
    """
    with _refusal(path):
        write_text(path, page)


@contextmanager
def _refusal(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PageError(
            f"page {path} can't be written: {error.strerror or error}. Give --html a file in a folder that is there "
            "and may be written."
        ) from None
