"""Encodes a catalogue's texts: each distinct text once and for all, since what was encoded outlives stage and run.

The vectors of texts are kept in one sqlite file of the workspace, by the encoder and by the text, so that the next
variant, seed or changed catalogue encodes only the texts that nobody encoded before it. That is sound because a text's
vector does not depend on the texts that are encoded along with it (see `TextEncoder.recipe`): what was found in the
cache and what was left to encode changes no bit of a result.
"""

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from reaseq import progress
from reaseq.representation.encoders import TextEncoder
from reaseq.representation.errors import RepresentationError

CHUNK = 256
"""Texts per commit, which is what a killed process can lose."""
_LAYOUT = 1


class EncodingCache:
    """Vectors by encoder and text. Several processes may share the file (WAL).

    Args:
        path: the sqlite file; made if missing.

    Raises:
        RepresentationError: the file is no cache of this layout, or damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            layout = self._db.execute("PRAGMA user_version").fetchone()[0]
            if layout == 0:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("CREATE TABLE IF NOT EXISTS encodings(key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
                self._db.execute(f"PRAGMA user_version={_LAYOUT}")
            self._db.execute("PRAGMA synchronous=NORMAL")  # survives a killed process; a vector is cheap to make again
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        if layout not in (0, _LAYOUT):
            raise RepresentationError(
                f"encoding cache {path} has layout {layout}, this version reads {_LAYOUT}; move it away."
            )

    def get(self, encoder: TextEncoder, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """The vectors, float32 [dim], of those texts that are there."""
        found = {}
        size = 4 * encoder.provenance.dim
        try:
            for text in texts:
                row = self._db.execute("SELECT vector FROM encodings WHERE key = ?", (_key(encoder, text),)).fetchone()
                if row is not None:
                    if len(row[0]) != size:
                        raise self._damaged(f"a vector has {len(row[0])} bytes instead of {size}")
                    found[text] = np.frombuffer(row[0], "<f4")
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        return found

    def put(self, encoder: TextEncoder, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Store the vectors, float32 [n, dim], of these texts in one commit; what is there already stays."""
        rows = [(_key(encoder, t), v.tobytes()) for t, v in zip(texts, vectors.astype("<f4"), strict=True)]
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO encodings VALUES (?, ?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._damaged(error) from None

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> "EncodingCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _damaged(self, error: Exception | str) -> RepresentationError:
        return RepresentationError(
            f"encoding cache {self.path} can't be used ({error}). Free disk space if it is full; otherwise move the "
            "file away, and texts will be encoded anew."
        )


def encode_texts(encoder: TextEncoder, texts: Sequence[str], cache: EncodingCache, description: str) -> np.ndarray:
    """Vectors of the texts, float32 [n, dim].

    Args:
        encoder: what encodes them.
        texts: in any order, with repetitions.
        cache: where vectors are found and kept; a killed process loses those of at most `CHUNK` texts.
        description: of the progress bar.

    Raises:
        RepresentationError: the cache can't be read or written.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))  # like lengths together: less padding
    vectors = cache.get(encoder, distinct)
    missing = [text for text in distinct if text not in vectors]
    if vectors:
        progress.note(f"{description}: {len(vectors)} of {len(distinct)} are there already")
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    for chunk in progress.track(chunks, description, total=len(chunks)):
        encoded = encoder.encode(chunk)
        cache.put(encoder, chunk, encoded)
        vectors.update(zip(chunk, encoded, strict=True))
    rows = [vectors[text] for text in texts]
    return np.stack(rows) if rows else np.empty((0, encoder.provenance.dim), np.float32)


def _key(encoder: TextEncoder, text: str) -> bytes:
    content = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return hashlib.sha256(f"{encoder.recipe} {content}".encode()).digest()
