import numpy as np
import pytest
import torch

from reaseq import progress
from reaseq.representation.aligner import VIEWS, Aligner
from reaseq.representation.alignment import AlignmentPlan, PairSampler, align
from reaseq.representation.behaviors import CoConsumption

ITEMS = 80
PLAN = AlignmentPlan(steps=24, batch=64, lr=1e-3, checkpoint_steps=5, seed=3, device="cpu")


@pytest.fixture
def texts() -> np.ndarray:
    """Random but for one direction that tells even from odd items, in all views but the title."""
    drawn = np.random.default_rng(0).normal(size=(ITEMS, len(VIEWS), 24)).astype(np.float32)
    drawn[::2, 1:, 0] += 3
    return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)


@pytest.fixture
def positives() -> CoConsumption:
    """Items of one parity belong together, which no title says."""
    pairs = [(i, j) for i in range(ITEMS) for j in range(i + 2, ITEMS, 2) if (i + j) % 3]
    return CoConsumption(np.array(pairs), np.random.default_rng(1).random(len(pairs)) + 0.1)


def fresh(texts: np.ndarray) -> Aligner:
    torch.manual_seed(7)
    torch.set_num_threads(1)
    return Aligner.from_titles(texts[:, 0])


def test_alignment_brings_together_what_is_consumed_together(texts, positives, tmp_path) -> None:
    aligner = fresh(texts)
    before = aligner.embed(texts)

    losses = align(aligner, texts, positives, AlignmentPlan(50, 64, 3e-3, 100, 0, "cpu"), tmp_path)

    def contrast(z: np.ndarray) -> float:
        return float((z[::2] @ z[::2].T).mean() - (z[::2] @ z[1::2].T).mean())

    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert contrast(aligner.embed(texts)) > contrast(before) + 0.1


def test_a_resumed_run_is_the_uninterrupted_run_bit_for_bit(texts, positives, tmp_path, monkeypatch) -> None:
    whole, resumed = fresh(texts), fresh(texts)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    expected = align(whole, texts, positives, PLAN, tmp_path / "a")

    def dying(steps, *args, **kwargs):
        for step in steps:
            if step == 13:
                raise KeyboardInterrupt
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(progress, "track", dying)
        with pytest.raises(KeyboardInterrupt):
            align(fresh(texts), texts, positives, PLAN, tmp_path / "b")
    losses = align(resumed, texts, positives, PLAN, tmp_path / "b")

    assert losses == expected
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_pairs_are_drawn_by_weight_and_in_both_directions(positives) -> None:
    sampler = PairSampler(positives, ITEMS, batch=10_000, seed=0)
    assert sampler.batch == len(positives.pairs)
    drawn = []
    for step in range(40):
        items, places, _ = sampler.draw(step)
        drawn.append(items[places])
    pairs = np.concatenate(drawn)

    share = np.bincount(pairs.ravel(), minlength=ITEMS) / pairs.size
    forward = (pairs[:, 0] < pairs[:, 1]).mean()
    np.testing.assert_allclose(share, np.exp(sampler.log_share), atol=2e-3)
    assert forward == pytest.approx(0.5, abs=0.02)


def test_a_batch_knows_its_positives(positives) -> None:
    sampler = PairSampler(positives, ITEMS, batch=32, seed=0)

    items, places, known = sampler.draw(4)

    positive = {tuple(pair) for pair in positives.pairs.tolist()}
    for a, item in enumerate(items.tolist()):
        for b, other in enumerate(items.tolist()):
            assert known[a, b] == (item == other or (min(item, other), max(item, other)) in positive)
    assert all(known[a, b] for a, b in places)


def test_a_step_always_draws_the_same_batch(positives) -> None:
    one, two = (PairSampler(positives, ITEMS, batch=32, seed=5) for _ in range(2))
    one.draw(0)

    for first, second in zip(one.draw(8), two.draw(8), strict=True):
        np.testing.assert_array_equal(first, second)
