"""Baselines in the ranker's harness: they read the target and the short history, repeat, resume, and learn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from reaseq import config
from reaseq.artifacts import Workspace
from reaseq.config import BaselineConfig
from reaseq.data.dataset import Dataset
from reaseq.ranking import RankingError
from reaseq.ranking.baselines import BASELINES, Din, Selection, baseline_limits, baseline_run, build_baseline, fit_best
from reaseq.ranking.baselines.selection import CHECKS_PER_EPOCH, PATIENCE
from reaseq.ranking.batches import Batch, Contexts, RequestBatches
from reaseq.ranking.model import Users
from reaseq.ranking.shards import Shards
from reaseq.ranking.stage import fit, item_tables
from reaseq.ranking.training import CHECKPOINT, Trainer, catalogue, predict, predict_shards
from reaseq.representation.vectors import ItemVectors
from tests import smallworld
from tests.ranking.conftest import World
from tests.ranking.test_model import ITEMS, UNSEEN, tables, users

SMALL = BaselineConfig(d=8, hidden=(16, 8), attention=6)


def baseline(name: str) -> Din:
    model = build_baseline(name, SMALL, 0, tables())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def score(model: Din, who: Users, candidates: list[int]) -> np.ndarray:
    with torch.no_grad():
        table = catalogue(model)
        return model.score(table, who, table.candidates(torch.tensor([candidates])))[0].numpy()


@pytest.mark.parametrize("name", BASELINES)
def test_padding_never_changes_scores(name: str) -> None:
    model, names = baseline(name), [1, 5, 28]
    bare, padded = (score(model, users(3, 3, 2, pad), names) for pad in (0, 7))
    np.testing.assert_allclose(padded, bare, atol=1e-6)


@pytest.mark.parametrize("name", BASELINES)
def test_only_the_target_and_the_short_history_are_read(name: str) -> None:
    model, who, other = baseline(name), users(4, 9, 3), users(4, 9, 3, seed=5)
    swapped = other._replace(history=who.history)
    np.testing.assert_array_equal(score(model, swapped, [1, 2]), score(model, who, [1, 2]))
    assert np.abs(score(model, other, [1, 2]) - score(model, who, [1, 2])).max() > 1e-4
    assert baseline_limits(SMALL).long == baseline_limits(SMALL).inferred == 1


@pytest.mark.parametrize("name", BASELINES)
def test_a_score_depends_on_no_other_candidate_and_no_other_context(name: str) -> None:
    model, names = baseline(name), list(range(1, 25))
    contexts = [users(3, 3, 2, pad=2), users(5, 5, 4, seed=4)]
    together = Users(*(torch.cat(parts) for parts in zip(*contexts, strict=True)))
    with torch.no_grad():
        table = catalogue(model)
        scored = model.score(table, together, table.candidates(torch.tensor([names, names]))).numpy()
    for place, who in enumerate(contexts):
        alone = [score(model, who, [item])[0] for item in names]
        np.testing.assert_allclose(scored[place], alone, atol=1e-6)


def test_the_activation_unit_is_the_published_one() -> None:
    """Against its definition, a layer over [q, k, q - k, q⊙k], pair by pair."""
    model = baseline("din_id")
    torch.manual_seed(1)
    x, behaviors = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    difference = torch.randn(8, 6)  # any split of the two linear parts between q, k and q - k gives the same layer
    query, key = model.query.weight.T - difference, model.key + difference
    layer = torch.cat([query, key, difference, model.product])

    def pair(q: Tensor, k: Tensor) -> Tensor:
        return model.strength(torch.relu(torch.cat([q, k, q - k, q * k]) @ layer + model.query.bias)).squeeze()

    expected = torch.stack(
        [torch.stack([torch.stack([pair(q, k) for k in ks]) for q in qs]) for qs, ks in zip(x, behaviors, strict=True)]
    )
    torch.testing.assert_close(model.attention(x, model.query(x), behaviors), expected, atol=1e-5, rtol=1e-5)


def test_each_baseline_knows_what_its_name_says() -> None:
    who, facts = users(4, 4, 2), tables()
    for name, ids, vectors in (("din_id", True, False), ("title", False, True), ("din_title", True, True)):
        model = baseline(name)
        before = score(model, who, [1])
        model.z.neg_()
        assert (score(model, who, [1]) != before).any() == vectors, name
        model.z.neg_()
        with torch.no_grad():
            model.ids.weight.neg_()
        assert (score(model, who, [1]) != before).any() == ids, name
    model = baseline("din_id")
    assert facts["counts"][UNSEEN] == 0
    assert not model.content(torch.tensor([0, UNSEEN, ITEMS])).any()  # an id without training is nothing, not noise
    assert baseline("kar").experts("user", torch.randn(3, 128)).shape == (3, 8)


def test_vectors_may_have_the_width_of_any_encoder() -> None:
    wide = np.random.default_rng(0).normal(size=(ITEMS + 1, 384)).astype(np.float32)
    model = build_baseline("title", SMALL, 0, {"z": wide, "counts": tables()["counts"]})
    assert model.content(torch.tensor([1, UNSEEN])).shape == (2, 8)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(RankingError, match="din_id, din_title, title, kar"):
        build_baseline("dien", SMALL, 0, tables())


class Harness:
    """Everything `fit` needs, over the small world."""

    def __init__(self, world: World, root: Path):
        over = {
            "d": 8,
            "hidden": [16, 8],
            "batch": 64,
            "epochs": 3,
            "most_epochs": 4,
            "lr_dense": 1e-2,
            "lr_sparse": 1e-2,
        }
        whole = config.load("tiny", overrides={f"baselines.{name}": value for name, value in over.items()})
        self.config = baseline_run(world.config.model_copy(update={"baselines": whole.baselines}))
        self.root = root
        self.data = Dataset.open(world.dataset)
        self.train = Shards.of(self.data, "train", root)
        self.contexts = Contexts(self.data.log, self.data.category_index, None, baseline_limits(self.config.baselines))
        self.tables = item_tables(self.data, ItemVectors.open(world.vectors), self.train, "full")

    def trained(self, name: str, scratch: str) -> Din:
        model = build_baseline(name, self.config.baselines, 0, self.tables)
        (self.root / scratch).mkdir(exist_ok=True)
        fit(model, self.train, self.contexts, self.config, self.root / scratch, torch.device("cpu"))
        return model


@pytest.fixture
def harness(world: World, tmp_path: Path) -> Harness:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    return Harness(world, tmp_path)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_learns_and_repeats_bit_for_bit(name: str, harness: Harness) -> None:
    one, two = harness.trained(name, "one"), harness.trained(name, "two")
    for (key, a), (_, b) in zip(one.named_parameters(), two.named_parameters(), strict=True):
        assert torch.equal(a, b), key
    batches = RequestBatches(harness.data.impressions("train"), harness.contexts)
    scores, labels = predict(one, catalogue(one), batches, 256), batches.impressions.label
    assert scores[labels == 1].mean() > scores[labels == 0].mean() + 0.02


@pytest.mark.parametrize("name", ["din_title", "kar", "title"])
def test_a_killed_training_goes_on_to_the_same_weights(
    name: str, harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = harness.trained(name, "whole")
    step: Callable[..., float] = Trainer._step

    def killed_at_13(self: Trainer, batch: Batch, number: int) -> float:
        if number == 13:
            raise KeyboardInterrupt
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", killed_at_13)
        with pytest.raises(KeyboardInterrupt):
            harness.trained(name, "killed")
    assert (harness.root / "killed" / CHECKPOINT).is_file()
    resumed = harness.trained(name, "killed")
    for (key, a), (_, b) in zip(whole.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(a, b), key


@pytest.mark.parametrize("kept", [pl.col("label") == 1, pl.lit(False)], ids=["positives", "nothing"])
def test_a_validation_split_without_both_labels_is_refused_before_training(
    world: World, harness: Harness, tmp_path: Path, kept: pl.Expr
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    one_label = smallworld.with_impressions(
        world.dataset, tmp_path / "one_label", workspace, lambda all: all.filter((pl.col("split") != "valid") | kept)
    )
    shards = {"train": harness.train, "valid": Shards.of(Dataset.open(one_label), "valid", tmp_path / "shards")}
    model = build_baseline("din_id", harness.config.baselines, 0, harness.tables)

    with pytest.raises(RankingError, match=r"validation split .*data\.valid_start, data\.test_start"):
        fit_best(model, shards, harness.contexts, harness.config, tmp_path, torch.device("cpu"))

    assert not (tmp_path / CHECKPOINT).exists()


def test_validation_decides_how_long_to_train_and_a_killed_selection_goes_on(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = {split: Shards.of(harness.data, split, harness.root) for split in ("train", "valid")}

    def chosen(scratch: str) -> tuple[Din, Selection]:
        model = build_baseline("din_id", harness.config.baselines, 0, harness.tables)
        (harness.root / scratch).mkdir(exist_ok=True)
        device = torch.device("cpu")
        return model, fit_best(model, shards, harness.contexts, harness.config, harness.root / scratch, device)

    model, selection = chosen("whole")
    aucs = selection.valid_auc
    best = round(selection.epochs * CHECKS_PER_EPOCH)
    assert 1 <= best <= len(aucs) == len(selection.seconds)
    assert len(aucs) <= harness.config.baselines.most_epochs * CHECKS_PER_EPOCH
    assert aucs[best - 1] == max(aucs)
    assert len(aucs) - best == PATIENCE or len(aucs) == harness.config.baselines.most_epochs * CHECKS_PER_EPOCH
    assert selection.impressions >= (len(aucs) - 1) / CHECKS_PER_EPOCH * shards["train"].rows
    scores, labels = predict_shards(model, shards["valid"], harness.contexts, 64, "valid")
    assert roc_auc_score(labels, scores) == max(aucs)  # the best check's weights, not the last's

    step: Callable[..., float] = Trainer._step

    def killed(self: Trainer, batch: Batch, number: int) -> float:
        if number == 1 + self.epochs.about():
            raise KeyboardInterrupt
        return step(self, batch, number)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_step", killed)
        with pytest.raises(KeyboardInterrupt):
            chosen("killed")
    resumed, again = chosen("killed")
    assert again.valid_auc == aucs
    for (key, a), (_, b) in zip(model.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(a, b), key
