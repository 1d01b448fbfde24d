"""Pages that a command writes where its user says."""

from pathlib import Path

from reaseq.artifacts import write_text
from reaseq.errors import ReaSeqError


class PageError(ReaSeqError):
    """The page can't be written where it was asked for."""


def check_writable(path: Path) -> None:
    """Refuse a place where no file can be written before any work is done for it.

    Raises:
        PageError: it is a folder, or its folder is not there.
    """
    if path.is_dir():
        raise PageError(f"--html {path} is a folder; name a file in it, such as {path / 'page.html'}.")
    if not path.parent.is_dir():
        raise PageError(f"--html {path}: folder {path.parent} is not there; make it, or name a file somewhere else.")


def save(path: Path, page: str) -> None:
    """Write the page whole or not at all.

    Raises:
        PageError: the file can't be written.
    """
    try:
        write_text(path, page)
    except OSError as error:
        reason = error.strerror or str(error)
        raise PageError(f"--html {path} can't be written: {reason}. Name a file that may be written.") from None
