"""C4, C5 and C6 on the small world with a denoiser that was really fitted."""

import numpy as np
import pytest

from reaseq.artifacts import Workspace
from reaseq.behavior import fit_denoiser, infer_behaviors
from reaseq.behavior.decoder_stage import fit_decoder
from reaseq.config import load
from reaseq.data import Dataset
from reaseq.evaluation.claims import beyond_log
from reaseq.evaluation.claims.beyond_log import Assets, infers_beyond_the_log, is_consistent, iterates_with_profit
from reaseq.evaluation.claims.cases import beyond_log_cases, future_cases, hidden_cases
from reaseq.evaluation.claims.generation import Generation
from reaseq.evaluation.claims.hiding import hide, infer_hidden
from tests import smallworld

CONFIG = load(
    "tiny",
    overrides={
        "behavior.d_model": 32,
        "behavior.epochs": 3,
        "behavior.batch_slots": 64,
        "behavior.inferred": 5,
        "behavior.spare_slots": 1,
        "behavior.reverse_steps": 2,
        "evaluation.bootstrap": 50,
    },
)
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("claims") / "workspace")


@pytest.fixture(scope="module")
def decoder(assets, workspace):
    return fit_decoder(CONFIG, assets.dataset, assets.item_vectors, workspace.root / "decoder", workspace)


@pytest.fixture(scope="module")
def assets(workspace):
    root = workspace.root
    dataset = smallworld.with_beyond_log(smallworld.write_dataset(root / "log", workspace), root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(root / "vectors", dataset, workspace)
    denoiser = fit_denoiser(CONFIG, dataset, vectors, root / "denoiser", workspace)
    inferred = infer_behaviors(CONFIG, dataset, vectors, denoiser, root / "inferred", workspace)
    return Assets(dataset, vectors, denoiser, inferred)


def test_c4_compares_with_everything_that_must_be_beaten_on_every_truth(assets, workspace):
    evidence = infers_beyond_the_log(CONFIG, assets, SEEDS, workspace, users=15)

    deciding = [c for c in evidence.comparisons if c.decides]
    counted = {"popularity", "popularity in the cohort", "item-to-item", "item-to-item, recent first"}
    assert {c.base for c in deciding} == {*counted, "nearest to the history", "random", "another user's"}
    assert len(deciding) == 14 and len(evidence.comparisons) == 28  # two truths, and as many within the categories
    assert evidence.verdict == ("holds" if all(c.better for c in deciding) else "does not hold")
    assert all(0 <= c.other_value <= 1 and c.seeds == 2 for c in evidence.comparisons)


def test_finished_evidence_is_taken_over(assets, workspace, monkeypatch):
    first = infers_beyond_the_log(CONFIG, assets, SEEDS, workspace, users=15)
    monkeypatch.setattr(beyond_log, "_Probe", None)

    assert infers_beyond_the_log(CONFIG, assets, SEEDS, workspace, users=15) == first


def test_c5_needs_the_users_own_inferences_and_novelty(assets, workspace):
    evidence = is_consistent(CONFIG, assets, SEEDS, workspace, users=15)

    assert {c.base for c in evidence.comparisons} == {"another user's"}
    assert len(evidence.comparisons) == 6  # items and ẑ, to each of three truths
    assert all(
        evidence.figures[f"novelty, {truth}"]["new_items"] == 1 for truth in (beyond_log.HIDDEN, beyond_log.FUTURE)
    )


def test_c6_must_beat_one_step_and_the_autoregressive_decoder_however_it_is_asked(assets, decoder, workspace):
    evidence = iterates_with_profit(CONFIG, assets, decoder, SEEDS, workspace, users=15)

    deciding = [c for c in evidence.comparisons if c.decides]
    assert [(c.other, c.base) for c in deciding] == [("R = 2", "R = 1"), ("R = 2", "AR"), ("R = 2", "AR, w = 0")]
    assert evidence.verdict == ("holds" if all(c.better for c in deciding) else "does not hold")
    table = evidence.figures["by way of generating"]
    assert list(table) == ["R = 1", "R = 2", "R = 4", "R = 8", "AR", "AR, w = 0"]
    assert [row["sequential steps"] for row in table.values()] == [1, 2, 4, 8, 24, 24]  # six slots of four codes
    # two branches (but for the last row), two seeds, one batch each
    assert [row["forwards"] for row in table.values()] == [4, 8, 16, 32, 96, 48]
    assert all(row["users/s, batch of 256"] > 0 < row["ms a user, batch of 1"] for row in table.values())


def test_decoder_and_denoiser_are_of_one_size_and_learned_from_the_same_events(assets, decoder):
    for fact in ("cut", "users", "events", "parameters", "steps", "tokens"):
        assert decoder.facts[fact] == assets.denoiser.facts[fact]
    assert decoder.facts["inpainting"]["users"] == assets.denoiser.facts["inpainting"]["users"]


def test_nothing_that_inference_reads_depends_on_what_is_hidden(assets, workspace):
    """Moving hidden events to other items of their category changes the truth and nothing else."""
    data = Dataset.open(assets.dataset)
    snapshot = int(max(assets.inferred_behaviors.facts["snapshots"]))
    drawn = {"snapshot": snapshot, "users": 10, "least": 2, "seed": 5}
    hidden = hide(data, **drawn)
    row = dict(zip(hidden.user.tolist(), hidden.category.tolist(), strict=True))
    category = np.array([row.get(user, -1) for user in data.log.users])
    here = (data.category_index[data.log.items] == category + 1) & ~data.log.train
    data.log.items[here] = (data.log.items[here] + 3) % smallworld.ITEMS + 1  # four on, so of the same category

    moved = hide(data, **drawn)

    assert here.any() and (moved.truth != hidden.truth).any()
    at = {"snapshot": snapshot, "users": 10, "seed": 5, "workspace": workspace}
    inputs = (assets.dataset, assets.item_vectors, Generation(assets.denoiser, 2, 1.0))
    first = infer_hidden(CONFIG, *inputs, hidden, **at)
    np.testing.assert_array_equal(moved.log.items, hidden.log.items)
    cases = hidden_cases(Dataset.open(assets.dataset), hidden, first)
    assert not (cases.truth & cases.history()).any()


def test_truth_beyond_the_log_belongs_to_the_newest_snapshot_before_it(assets):
    data = Dataset.open(assets.dataset)

    parts = beyond_log_cases(data, assets.inferred_behaviors, users=100, seed=0)

    newest = max(assets.inferred_behaviors.facts["snapshots"])
    assert newest <= smallworld.BEYOND
    assert len(parts) == 1 and parts[0].log.timestamps.max() < newest
    for cases in parts:
        assert (cases.truth.sum(1) == 1).all() and not (cases.truth & cases.history()).any()
        assert (cases.truth & ~cases.region).sum() == 0


def test_the_future_lies_after_the_snapshot_and_is_new_to_the_user(assets):
    data = Dataset.open(assets.dataset)

    parts = future_cases(data, assets.inferred_behaviors, users=100, seed=0)

    snapshots = sorted(assets.inferred_behaviors.facts["snapshots"])
    assert 1 < len(parts) <= len(snapshots)
    for cases in parts:
        for user, truth in zip(cases.user, cases.truth, strict=True):
            later = data.log.items[data.log.offsets[user] : data.log.offsets[user + 1]]
            assert set(np.flatnonzero(truth)) <= set(later)
        assert not (cases.truth & cases.history()).any()


def test_a_catalogue_without_categories_leaves_c6_untested(assets, decoder, workspace, monkeypatch):
    opened = Dataset.open

    def bare(artifact):
        data = opened(artifact)
        data.category_names, data.category_index = [], np.zeros_like(data.category_index)
        return data

    monkeypatch.setattr(beyond_log.Dataset, "open", bare)

    evidence = iterates_with_profit(CONFIG, assets, decoder, (7,), workspace, users=15)

    assert evidence.verdict == "not testable here" and "no categories" in evidence.reason
    assert evidence.comparisons == ()


def test_at_a_snapshot_the_denoiser_that_serves_there_is_asked(assets):
    early, served = Generation(assets.denoiser, 2, 1.0), Generation(assets.denoiser, 2, 1.0, smallworld.TEST_START)

    assert early.folder == assets.denoiser.path and served.folder == assets.denoiser.path / "refit"
    assert early.key() != served.key()


def test_c5_of_a_single_user_is_not_testable(assets, workspace):
    evidence = is_consistent(CONFIG, assets, (0,), workspace, users=1)

    assert evidence.verdict == "not testable here" and "users" in evidence.reason
