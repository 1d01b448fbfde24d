"""The representation stage: catalogue and knowledge in, item vectors, codes and the head that made them out."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from reaseq import progress
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import Json, RunConfig, digest
from reaseq.determinism import deterministic_torch
from reaseq.representation.aligner import VIEWS, Aligner
from reaseq.representation.alignment import FEWEST_PAIRS, STAGE, AlignmentPlan, align
from reaseq.representation.behaviors import Behaviors, CoConsumption
from reaseq.representation.diagnostics import hit_rate, mean_pairwise_cosine
from reaseq.representation.encoders import encoder_identity, open_encoder
from reaseq.representation.encoding import EncodingCache, encode_texts
from reaseq.representation.errors import RepresentationError
from reaseq.representation.quantization import describe_codes, fit_codebook, save_and_check
from reaseq.schema import ITEM_VECTORS, VECTOR_DIM

_CURVE = 100  # points of the loss curve that the facts keep


def represent(config: RunConfig, dataset: Artifact, knowledge: Artifact, out: Path, workspace: Workspace) -> Artifact:
    """Make the item_vectors artifact.

    Texts of the whole catalogue, and behaviours of the training split, enter vectors and codes; behaviours of the
    validation split are used to report item-to-item Hit@30, and nothing is chosen by it. An item whose knowledge is not
    `ok` has its title in place of both views.

    Raises:
        EncoderUnavailableError: `representation.encoder` can't be had.
        RepresentationError: knowledge and catalogue are not of the same items, or the catalogue is too small.
    """
    settings = config.representation
    key = config.part("representation") | {
        "device": config.device,
        "positive_rating": config.data.positive_rating,
        "encoder": encoder_identity(settings.encoder),
    }

    def write(draft: Draft) -> None:
        with deterministic_torch(config.threads, config.seed):
            _represent(config, key, dataset, knowledge, workspace.root / "encodings.sqlite", draft)

    inputs = {"dataset": dataset, "knowledge": knowledge}
    return build(out, kind="item_vectors", config=key, inputs=inputs, write=write, workspace=workspace)


def read_views(dataset: Artifact, knowledge: Artifact) -> tuple[list[str], list[list[str]], int]:
    """Item ids, the texts of each of the three views, and the number of items whose title stands for their knowledge.

    Raises:
        RepresentationError: the two artifacts do not hold the same items in the same order.
    """
    items = dataset.table("items.parquet", ["item_id", "title"])
    known = knowledge.table("knowledge.parquet", ["item_id", "status", "item_text", "demand_text"])
    ids = items.column("item_id").to_pylist()
    if known.column("item_id").to_pylist() != ids:
        raise RepresentationError(
            f"knowledge.parquet of {knowledge.path} does not hold the items of {dataset.path}, in that order. Run the "
            "knowledge stage on this dataset."
        )
    titles = items.column("title").to_pylist()
    ok = [status == "ok" for status in known.column("status").to_pylist()]
    views = [titles]
    for name in ("item_text", "demand_text"):
        texts = known.column(name).to_pylist()
        views.append([text if use and text else title for text, use, title in zip(texts, ok, titles, strict=True)])
    return ids, views, ok.count(False)


def _represent(
    config: RunConfig, key: Json, dataset: Artifact, knowledge: Artifact, encodings: Path, draft: Draft
) -> None:
    settings = config.representation
    ids, views, fallbacks = read_views(dataset, knowledge)
    behaviors = Behaviors.read(dataset, config.data.positive_rating)
    training = behaviors.of("train")
    encoder = open_encoder(
        settings.encoder,
        texts=[text for view in views for text in view],
        seed=config.seed,
        max_length=settings.max_length,
        batch=settings.encoder_batch,
        threads=config.threads,
        device=config.device,
    )
    with EncodingCache(encodings) as cache:
        flat = encode_texts(encoder, [text for view in views for text in view], cache, "encoding item texts")
    texts = np.ascontiguousarray(flat.reshape(len(VIEWS), len(ids), -1).swapaxes(0, 1))  # [V, views, text_dim]

    positives = CoConsumption.count(training, len(ids), settings.window_days)
    enough = len(positives.pairs) >= FEWEST_PAIRS and settings.align_steps > 0
    torch.manual_seed(config.seed * 100 + STAGE)
    aligner = Aligner.from_titles(texts[:, 0], settings.title_dim if enough else 0)
    before = aligner.embed_aligned(texts)
    plan = AlignmentPlan(
        steps=settings.align_steps,
        batch=settings.align_batch,
        lr=settings.align_lr,
        checkpoint_steps=settings.checkpoint_steps,
        seed=config.seed,
        device=config.device,
    )
    if len(positives.pairs) < FEWEST_PAIRS:
        progress.note(
            f"alignment skipped: {len(positives.pairs)} co-consumed pairs, {FEWEST_PAIRS} needed; z is PCA(title)"
        )
    trained = np.bincount(training.item, minlength=len(ids)) > 0
    losses = align(aligner, texts, positives, plan, draft.scratch) if enough else []
    if aligner.title_dim:
        aligner.join(texts[trained])
    z = aligner.embed(texts)
    codebook, fitted = fit_codebook(z, trained, settings.levels, settings.codebook_size, config.seed)
    codes = codebook.encode(z)
    save_and_check(codebook, codes, z, draft.path / "codebook.safetensors")

    version = _version(key, ids, views, positives, trained)
    described = {"encoder": encoder.provenance.as_json(), "views": VIEWS, "dim": VECTOR_DIM, "version": version}
    aligner.save(draft.path / "aligner.safetensors", described)
    encoder.save(draft.path)
    draft.write_table("item_vectors.parquet", _table(ids, z, codes, version), ITEM_VECTORS)

    transitions = behaviors.next_items("valid")
    draft.facts.update(
        items=len(ids),
        version=version,
        encoder=encoder.provenance.as_json(),
        title_fallbacks=fallbacks,
        pairs=len(positives.pairs),
        aligned=bool(losses),
        title_dim=aligner.title_dim,
        mean_cosine={"pca_title": mean_pairwise_cosine(before), "z": mean_pairwise_cosine(z)},
        i2i_hit_at_30={
            "transitions": len(transitions),
            "pca_title": hit_rate(before, transitions, config.seed),
            "z": hit_rate(z, transitions, config.seed),
        },
        align_loss=_curve(losses),
        codebook=fitted,
        codes=describe_codes(codes, z, codebook),
    )


def _version(key: Json, ids: list[str], views: list[list[str]], positives: CoConsumption, trained: np.ndarray) -> str:
    """Of what vectors and codes depend on, and of nothing else: events after the split time leave it as it is."""
    seen = hashlib.sha256(json.dumps([ids, views]).encode())
    for array in (positives.pairs, positives.weights, trained):
        seen.update(array.tobytes())
    return digest([key, seen.hexdigest()])[:12]


def _table(ids: list[str], z: np.ndarray, codes: np.ndarray, version: str) -> pa.Table:
    return pa.table(
        {
            "item_id": ids,
            "z": pa.FixedSizeListArray.from_arrays(pa.array(z.ravel()), VECTOR_DIM),
            "codes": pa.ListArray.from_arrays(
                pa.array(np.arange(0, codes.size + 1, codes.shape[1], dtype=np.int32)), pa.array(codes.ravel())
            ),
            "version": [version] * len(ids),
        }
    )


def _curve(losses: list[float]) -> list[dict[str, float]]:
    """The loss as means over up to a hundred equal stretches of steps."""
    stretches = np.array_split(np.array(losses), min(_CURVE, len(losses))) if losses else []
    ends = np.cumsum([len(stretch) for stretch in stretches])
    return [
        {"step": int(end), "loss": round(float(stretch.mean()), 5)}
        for end, stretch in zip(ends, stretches, strict=True)
    ]
