"""Vectors of titles as the frozen encoder gives them, at its full width: what baselines over raw text read.

`item_vectors` hold 128 numbers per item; a baseline that sees only those is weaker than the text it stands for, and a
gain over it says less.
"""

from pathlib import Path

import numpy as np

from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import RunConfig
from reaseq.representation.encoders import encoder_identity, open_encoder
from reaseq.representation.encoding import EncodingCache, encode_texts

TITLES = "titles.npy"


def encode_titles(config: RunConfig, dataset: Artifact, out: Path, workspace: Workspace) -> Artifact:
    """Make the title_vectors artifact: `titles.npy`, float32 [V, width of the encoder], rows in the items' order.

    Raises:
        EncoderUnavailableError: `representation.encoder` can't be had.
        RepresentationError: the workspace's cache of encodings is damaged.
    """
    settings = config.representation
    key = {
        "seed": config.seed,
        "threads": config.threads,
        "device": config.device,
        "max_length": settings.max_length,
        "batch": settings.encoder_batch,
        "encoder": encoder_identity(settings.encoder),
    }

    def write(draft: Draft) -> None:
        titles = dataset.table("items.parquet", ["title"]).column(0).to_pylist()
        encoder = open_encoder(
            settings.encoder,
            texts=titles,
            seed=config.seed,
            max_length=settings.max_length,
            batch=settings.encoder_batch,
            threads=config.threads,
            device=config.device,
        )
        with EncodingCache(workspace.root / "encodings.sqlite") as cache:
            vectors = encode_texts(encoder, titles, cache, "encoding titles")
        np.save(draft.path / TITLES, vectors, allow_pickle=False)
        draft.facts.update(items=len(vectors), width=vectors.shape[1], encoder=encoder.provenance.as_json())

    return build(out, kind="title_vectors", config=key, inputs={"dataset": dataset}, write=write, workspace=workspace)


def read_titles(artifact: Artifact) -> np.ndarray:
    """float32 [V+1, width] of a title_vectors artifact; row 0, for padding, is zeros."""
    vectors = np.load(artifact.file(TITLES), allow_pickle=False)
    return np.concatenate([np.zeros_like(vectors[:1]), vectors])
