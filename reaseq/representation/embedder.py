"""Gives vectors and codes to items that are newer than an item_vectors artifact, with its own head and encoder."""

from collections.abc import Sequence

import numpy as np
import torch

from reaseq.artifacts import Artifact
from reaseq.representation.aligner import VIEWS, Aligner
from reaseq.representation.codebook import Codebook
from reaseq.representation.encoders import TextEncoder, reopen_encoder
from reaseq.representation.errors import RepresentationError


class ItemEmbedder:
    """Holds an artifact's encoder, alignment head and codebook; nothing in it changes."""

    def __init__(self, encoder: TextEncoder, aligner: Aligner, codebook: Codebook, version: str):
        self._encoder = encoder
        self._aligner = aligner
        self._codebook = codebook
        self.version = version
        """`version` of the item vectors that these are comparable with."""

    @classmethod
    def open(cls, artifact: Artifact, *, threads: int = 1, device: str = "cpu", batch: int = 64) -> "ItemEmbedder":
        """Load what an item_vectors artifact says of itself.

        Raises:
            ArtifactError: it brings no aligner.
            EncoderUnavailableError: its text encoder can't be had, or has other weights now.
        """
        described = artifact.json("aligner.json")
        torch.set_num_threads(threads)
        encoder = reopen_encoder(described["encoder"], artifact.path, batch=batch, threads=threads, device=device)
        aligner = Aligner.load(artifact.file("aligner.safetensors"))
        return cls(encoder, aligner, Codebook.load(artifact.file("codebook.safetensors")), described["version"])

    def embed(
        self, titles: Sequence[str], item_texts: Sequence[str] | None = None, demand_texts: Sequence[str] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vectors and codes of new items.

        Args:
            titles: one per item.
            item_texts: canonical item texts; empty or missing ones are replaced by the title, as in training for items
                without knowledge.
            demand_texts: canonical demand texts, likewise.

        Returns:
            z float32 [n, 128] of unit length, and codes int64 [n, L].

        Raises:
            RepresentationError: the lists are not equally long.
        """
        views = [list(titles), *(list(texts or titles) for texts in (item_texts, demand_texts))]
        if len({len(view) for view in views}) != 1:
            raise RepresentationError(
                f"embed: titles, item_texts and demand_texts hold {', '.join(str(len(v)) for v in views)} texts; give "
                "one of each per item."
            )
        filled = [[text or title for text, title in zip(view, views[0], strict=True)] for view in views]
        count = len(views[0])
        if not count:
            return np.empty((0, self._codebook.rotation.shape[0]), np.float32), np.empty(
                (0, self._codebook.levels), np.int64
            )
        encoded = self._encoder.encode([text for view in filled for text in view])
        z = self._aligner.embed(np.ascontiguousarray(encoded.reshape(len(VIEWS), count, -1).swapaxes(0, 1)))
        return z, self._codebook.encode(z).astype(np.int64)
