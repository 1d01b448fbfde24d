"""`train_sequential`: a dataset → a SASRec with the rank of every user's held-out test item (artifact "sequential").

model.safetensors    weights of the best epoch
sasrec.json          what builds the network, and the digest of the dataset whose items number its rows
training.jsonl       loss and validation NDCG@10 by epoch
ranks_test.parquet   user_id, item_id, rank, ranked: what comparisons with other models are paired by
"""

import json
from pathlib import Path

import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file

from reaseq.artifacts import Artifact, Draft, Workspace, build, write_text
from reaseq.config import RunConfig
from reaseq.data.dataset import Dataset
from reaseq.determinism import deterministic_torch
from reaseq.ranking.errors import RankingError
from reaseq.ranking.scoring import CatalogueRanks
from reaseq.ranking.sequential.full_ranking import Targets
from reaseq.ranking.sequential.model import SasRec, SasRecSpec
from reaseq.ranking.sequential.rows import Rows
from reaseq.ranking.sequential.training import facts, fit, rank_held_out
from reaseq.schema import CATALOGUE_RANKS

WEIGHTS, SPEC, CURVE, RANKS = "model.safetensors", "sasrec.json", "training.jsonl", "ranks_test.parquet"


def train_sequential(
    config: RunConfig, dataset: Artifact, out: Path | str, workspace: Workspace, *, seed: int | None = None
) -> Artifact:
    """Train SASRec on the training events, stop by the validation items, rank the test items.

    Args:
        config: sections `sequential`, `seed`, `threads`, `device`.
        dataset: kind "dataset".
        out: folder to make.
        workspace: finished artifacts and checkpoints.
        seed: takes the place of `config.seed`, to repeat a table over seeds.

    Raises:
        RankingError: no user has two training events, nobody has a validation or a test item, there is no such device,
            `sequential.d_model` is no multiple of `sequential.heads`, or training diverged.
    """
    if seed is not None:
        config = config.model_copy(update={"seed": seed})
    settings = config.sequential
    if settings.d_model % settings.heads:
        raise RankingError(
            f"sequential.d_model={settings.d_model} is no multiple of sequential.heads={settings.heads}; change one."
        )
    if config.device == "cuda" and not torch.cuda.is_available():
        raise RankingError("device is cuda and torch finds no GPU: set device=cpu, or choose the preset small.")

    def write(draft: Draft) -> None:
        with deterministic_torch(config.threads, config.seed):
            _write(draft, config, dataset)

    return build(
        out,
        kind="sequential",
        config=config.part("sequential") | {"device": config.device},
        inputs={"dataset": dataset},
        write=write,
        workspace=workspace,
    )


def load_sequential(artifact: Artifact) -> SasRec:
    """The artifact's network in evaluation mode, on the CPU."""
    model = SasRec(SasRecSpec(**artifact.json(SPEC)["model"]))
    model.load_state_dict(load_file(artifact.file(WEIGHTS)))
    return model.eval()


def ranks_table(ranks: CatalogueRanks) -> pa.Table:
    """In the schema `CATALOGUE_RANKS`."""
    return pa.table(vars(ranks), schema=CATALOGUE_RANKS)


def _write(draft: Draft, config: RunConfig, dataset: Artifact) -> None:
    data, settings = Dataset.open(dataset), config.sequential
    rows = Rows.of(data.log.only_train(), settings.history)
    valid, test = Targets.of(data, "valid"), Targets.of(data, "test")
    for what, count in (("training rows", len(rows)), ("validation items", len(valid)), ("test items", len(test))):
        if not count:
            raise RankingError(
                f"the dataset holds no {what} for SASRec: it needs users with two training events, and held-out items. "
                "Set data.split=leave_one_out, or bring more events."
            )
    spec = SasRecSpec(
        items=len(data.item_ids),
        d_model=settings.d_model,
        layers=settings.layers,
        heads=settings.heads,
        history=settings.history,
        dropout=settings.dropout,
        temperature=settings.temperature,
    )
    model = SasRec(spec).to(config.device)
    done = fit(model, rows, data, valid, settings, seed=config.seed, scratch=draft.scratch)
    ranks = rank_held_out(model, data, test, config.seed)
    save_file({name: value.cpu().contiguous() for name, value in model.state_dict().items()}, draft.path / WEIGHTS)
    draft.write_json(SPEC, {"model": spec.model_dump(mode="json"), "dataset": dataset.digest})
    write_text(draft.path / CURVE, "".join(json.dumps(point) + "\n" for point in done.curve))
    draft.write_table(RANKS, ranks_table(ranks), CATALOGUE_RANKS)
    draft.facts.update(
        facts(done), parameters=sum(p.numel() for p in model.parameters()), rows=len(rows), ranked_users=len(test)
    )
