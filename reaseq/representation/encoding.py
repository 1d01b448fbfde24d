"""Encodes a catalogue's texts: each distinct text once, texts of one length together, what is done kept on disk."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reaseq import progress
from reaseq.artifacts import whole
from reaseq.representation.encoders import TextEncoder

CHUNK = 512
"""Texts per file, which is what a killed process can lose."""


def encode_texts(encoder: TextEncoder, texts: Sequence[str], scratch: Path, description: str) -> np.ndarray:
    """Vectors of the texts, float32 [n, dim].

    Args:
        encoder: what encodes them.
        texts: in any order, with repetitions.
        scratch: finished chunks are kept here as .npy and found again by the next start. A chunk's file bears a digest
            of its texts and of the encoder, so that another encoder's never fits.
        description: of the progress bar.
    """
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    chunks = [distinct[start : start + CHUNK] for start in range(0, len(distinct), CHUNK)]
    paths = [scratch / f"texts-{_digest(encoder.provenance.digest, chunk)}.npy" for chunk in chunks]
    missing = [(chunk, path) for chunk, path in zip(chunks, paths, strict=True) if not path.exists()]
    if len(missing) < len(chunks):
        progress.note(f"{description}: {len(chunks) - len(missing)} of {len(chunks)} chunks are there already")
    for chunk, path in progress.track(missing, description, total=len(chunks), done=len(chunks) - len(missing)):
        with whole(path) as partial, partial.open("wb") as file:
            np.save(file, encoder.encode(chunk), allow_pickle=False)
    vectors = np.concatenate([np.load(path, allow_pickle=False) for path in paths])
    row = {text: i for i, text in enumerate(distinct)}
    return np.asarray(vectors[[row[text] for text in texts]], np.float32)


def _digest(encoder: str, chunk: list[str]) -> str:
    return hashlib.sha256(json.dumps([encoder, chunk]).encode()).hexdigest()[:32]
