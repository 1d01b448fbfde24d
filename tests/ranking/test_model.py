"""The network: what changes scores and what must not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.ranking.layers import BINS, SemanticAttention, similarity_counts
from reaseq.ranking.model import VARIANTS, ItemTable, Ranker, RankerSpec, Users, build_ranker

ITEMS, UNSEEN = 30, 27
SPEC = RankerSpec(
    items=ITEMS,
    categories=3,
    levels=4,
    codebook_size=8,
    id_dim=8,
    content_dim=12,
    attention_dim=8,
    hidden=(16, 8),
    long_top=4,
    temperature=0.1,
    gate_bias=-2.0,
    variant="full",
)


def tables() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    z = rng.normal(size=(ITEMS + 1, 128)).astype(np.float32)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    z[0] = 0
    codes = rng.integers(0, 8, (ITEMS + 1, 4))
    codes[0] = -1
    category = rng.integers(1, 4, ITEMS + 1)
    category[0] = 0
    counts = rng.integers(1, 50, ITEMS + 1)
    counts[0] = 0
    counts[UNSEEN:] = 0
    rate = np.where(counts > 0, rng.normal(size=ITEMS + 1), 0).astype(np.float32)
    return {"z": z, "codes": codes, "category": category, "counts": counts, "rate": rate}


def ranker(variant: str = "full", **changes: object) -> Ranker:
    """A ranker whose zero-initialised parts are shaken, so that a test can see through them."""
    model = build_ranker(SPEC.model_copy(update={"variant": variant, **changes}), 0, tables())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def users(history: int, long: int, inferred: int, pad: int = 0, seed: int = 0) -> Users:
    rng = np.random.default_rng(seed)

    def padded(values: np.ndarray) -> torch.Tensor:
        width = [(0, 0), (0, pad)] + [(0, 0)] * (values.ndim - 2)
        return torch.from_numpy(np.pad(values, width))

    items = rng.integers(1, ITEMS + 1, (1, long))
    return Users(
        history=padded(items[:, :history]),
        history_age=padded(rng.random((1, history)).astype(np.float32)),
        long_history=padded(items),
        inferred=padded(rng.integers(1, ITEMS + 1, (1, inferred))),
        inferred_vectors=padded(rng.normal(size=(1, inferred, 128)).astype(np.float32) / 11),
        inferred_confidence=padded(rng.random((1, inferred)).astype(np.float32)),
        profile=torch.from_numpy(rng.random((1, 4)).astype(np.float32)),
    )


def score(model: Ranker, who: Users, candidates: list[int]) -> np.ndarray:
    with torch.no_grad():
        table = model.encode(torch.arange(ITEMS + 1))
        place = torch.tensor([candidates])
        return model.score(table, who, table.candidates(place))[0].numpy()


@pytest.mark.parametrize("long", [3, 4, 9])
@pytest.mark.parametrize("pad", [1, 7])
def test_padding_never_changes_scores(long: int, pad: int) -> None:
    model, names = ranker(), [1, 5, 28]
    np.testing.assert_allclose(
        score(model, users(3, long, 2, pad), names), score(model, users(3, long, 2), names), atol=1e-6
    )


def test_what_stands_in_padded_places_is_never_read() -> None:
    model, who = ranker(), users(3, 6, 2, pad=2)
    dirty = who._replace(
        history_age=torch.where(who.history > 0, who.history_age, 99.0),
        inferred_vectors=torch.where(who.inferred.unsqueeze(-1) > 0, who.inferred_vectors, 99.0),
        inferred_confidence=torch.where(who.inferred > 0, who.inferred_confidence, 99.0),
    )
    np.testing.assert_array_equal(score(model, dirty, [1, 2]), score(model, who, [1, 2]))


def test_the_order_of_candidates_permutes_scores() -> None:
    model, who, names = ranker(), users(5, 9, 3), list(range(1, 25))
    order = np.random.default_rng(3).permutation(len(names))
    np.testing.assert_allclose(score(model, who, [names[i] for i in order]), score(model, who, names)[order], atol=1e-6)


def test_a_score_depends_on_no_other_candidate() -> None:
    model, who = ranker(), users(5, 9, 3)
    together = score(model, who, list(range(1, 25)))
    alone = [score(model, who, [item])[0] for item in range(1, 25)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_order_of_inferred_behaviours_is_of_no_account() -> None:
    model, who = ranker(), users(2, 2, 4)
    flipped = who._replace(
        inferred=who.inferred.flip(1),
        inferred_vectors=who.inferred_vectors.flip(1),
        inferred_confidence=who.inferred_confidence.flip(1),
    )
    np.testing.assert_allclose(score(model, flipped, [1, 2]), score(model, who, [1, 2]), atol=1e-6)


def test_a_cold_candidate_scores_as_the_same_item_in_the_table_whose_id_is_unknown() -> None:
    model, who, facts = ranker(), users(5, 9, 3), tables()
    with torch.no_grad():
        table = model.encode(torch.arange(ITEMS + 1))
        cold = model.encode_cold(
            *(torch.from_numpy(facts[name][UNSEEN : UNSEEN + 1]) for name in ("z", "codes", "category"))
        )
        scored = model.score(table, who, cold.candidates(torch.tensor([[0]])))[0].numpy()
    np.testing.assert_allclose(scored, score(model, who, [UNSEEN]), atol=1e-6)


def test_id_dropout_makes_a_known_item_look_like_a_new_one() -> None:
    model = ranker()
    shown = model.encode(torch.arange(ITEMS + 1)).candidates(torch.tensor([[1, 2]]))
    forgotten = model.forget(shown, torch.tensor([[True, False]]))
    torch.testing.assert_close(forgotten.x[0, 0, : SPEC.id_dim], model.unknown()[0])
    torch.testing.assert_close(forgotten.x[0, 0, SPEC.id_dim :], shown.x[0, 0, SPEC.id_dim :])
    torch.testing.assert_close(forgotten.x[0, 1], shown.x[0, 1])
    assert forgotten.rate[0, 0] == 0
    assert forgotten.rate[0, 1] == shown.rate[0, 1] != 0


def test_variant_id_sees_neither_vectors_nor_codes_nor_inferences() -> None:
    full, ids = ranker(), ranker("id")
    who, other = users(4, 9, 3), users(4, 9, 3, seed=5)
    swapped = who._replace(
        **{name: getattr(other, name) for name in ("inferred", "inferred_vectors", "inferred_confidence")}
    )
    assert np.abs(score(full, swapped, [1, 2]) - score(full, who, [1, 2])).max() > 1e-4
    np.testing.assert_array_equal(score(ids, swapped, [1, 2]), score(ids, who, [1, 2]))
    changed = ranker("id")
    changed.z.neg_()
    changed.codes.fill_(3)
    np.testing.assert_array_equal(score(changed, who, [1, 2]), score(ids, who, [1, 2]))
    assert [p.shape for p in full.parameters()] == [p.shape for p in ids.parameters()]


def test_variant_bare_sees_nothing_of_an_item_but_its_id() -> None:
    who, bare, ids = users(4, 9, 3), ranker("bare"), ranker("id")
    assert np.abs(score(bare, who, [1, 2]) - score(ids, who, [1, 2])).max() > 1e-4
    changed = ranker("bare")
    changed.z.neg_()
    changed.codes.fill_(3)
    changed.category.fill_(1)
    changed.rate.neg_()
    np.testing.assert_array_equal(score(changed, who, [1, 2]), score(bare, who, [1, 2]))
    z, codes = torch.randn(2, 128), torch.zeros(2, 4, dtype=torch.int64)
    new = bare.encode_cold(z, codes, torch.tensor([1, 2]))
    torch.testing.assert_close(new.x, bare.encode(torch.tensor([UNSEEN, UNSEEN])).x)


@pytest.mark.parametrize("names", [[1, 2, 3], [1, 2, 3, 4, 5, 6]])  # few candidates, and many, are searched for apart
def test_the_long_branch_finds_the_most_similar_behaviours(names: list[int]) -> None:
    model, facts, history = ranker(), tables(), np.random.default_rng(0).integers(1, ITEMS + 1, 16)
    with torch.no_grad():
        table = model.encode(torch.arange(ITEMS + 1))
    for place, item in enumerate(names):
        nearest = history[np.argsort(-(facts["z"][history] @ facts["z"][item]) + 1e-6 * np.arange(16))[:4]]
        searched, alone = (_long(model, table, seen, names) for seen in (history, nearest))
        for found, expected in zip(searched, alone, strict=True):
            torch.testing.assert_close(found[:, place], expected[:, place], atol=1e-6, rtol=1e-5)


def _long(model: Ranker, table: ItemTable, history: np.ndarray, names: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The long branch of a user with this history, of which the latest two are the short one."""
    who = users(2, 2, 1)._replace(
        history=torch.from_numpy(history[None, :2]), long_history=torch.from_numpy(history[None])
    )
    shown = table.candidates(torch.tensor([names]))
    similarity = shown.z @ table.z[who.long_history].transpose(1, 2)
    with torch.no_grad():
        return model._long(table, who, shown.x, similarity, similarity_counts(similarity[..., :2], torch.ones(1, 1, 2)))


def test_a_search_among_padding_finds_only_what_is_there() -> None:
    model, two, padded = ranker(), users(2, 2, 1), users(2, 2, 1, pad=40)
    for names in ([1, 2], list(range(1, 20))):
        np.testing.assert_allclose(score(model, padded, names), score(model, two, names), atol=1e-6)


def test_the_gate_starts_nearly_closed_and_confidence_weighs_attention() -> None:
    fresh = build_ranker(SPEC, 0, tables())
    short = torch.randn(1, 2, SPEC.width)
    omega = fresh.gate(short, short, torch.ones(1), torch.ones(1))
    torch.testing.assert_close(omega, torch.full((1, 2, 1), 0.1192), atol=1e-4, rtol=0)

    who = users(2, 2, 2)
    sure = who._replace(inferred_confidence=torch.tensor([[1.0, 1e-6]]))
    only_first = who._replace(
        inferred=who.inferred * torch.tensor([[1, 0]]), inferred_confidence=torch.tensor([[1.0, 0.0]])
    )
    table = fresh.encode(torch.arange(ITEMS + 1))
    x, z = table.x[1:2].unsqueeze(0), table.z[1:2].unsqueeze(0)
    pooled, _, _ = fresh._inferred(table, sure, x, z)
    alone, _, _ = fresh._inferred(table, only_first, x, z)
    torch.testing.assert_close(pooled, alone, atol=1e-3, rtol=1e-3)


def test_attention_is_the_same_from_either_side() -> None:
    torch.manual_seed(0)
    attention = SemanticAttention(6, 4, 0.1, aged=True)
    target, behaviors = torch.randn(2, 7, 6), torch.randn(2, 5, 6)
    similarity, there, age = torch.rand(2, 7, 5), (torch.rand(2, 1, 5) > 0.3).float(), torch.rand(2, 5)
    many = attention(target, behaviors, similarity, there, age=age)
    few = attention(target[:, :3], behaviors, similarity[:, :3], there, age=age)
    torch.testing.assert_close(few, many[:, :3])


def test_attention_over_what_was_found_is_attention_over_it_alone() -> None:
    torch.manual_seed(0)
    attention = SemanticAttention(6, 4, 0.1)
    target, behaviors, similarity = torch.randn(1, 1, 6), torch.randn(1, 5, 6), torch.rand(1, 1, 5)
    found = torch.tensor([[[True, False, True, True, False]]])
    kept = found[0, 0]
    masked = attention(target, behaviors, similarity, torch.ones(1, 1, 5), found)
    torch.testing.assert_close(
        masked, attention(target, behaviors[:, kept], similarity[..., kept], torch.ones(1, 1, 3))
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), max_size=12), st.integers(0, 3))
def test_the_histogram_counts_every_behaviour_once_and_no_padding(values: list[float], pad: int) -> None:
    similarity = torch.tensor([[values + [0.3] * pad]], dtype=torch.float32)
    there = torch.tensor([[[1.0] * len(values) + [0.0] * pad]])
    counts = similarity_counts(similarity, there)
    assert counts.shape == (1, 1, BINS)
    assert (counts >= 0).all()
    assert abs(float(counts.sum()) - len(values)) < 1e-3
    centres = torch.linspace(-1, 1, BINS)
    assert abs(float((counts * centres).sum()) - sum(values)) < 1e-3


def test_a_tiny_change_of_similarity_changes_the_histogram_little() -> None:
    there = torch.ones(1, 1, 1)
    for value in torch.linspace(-1, 1, 200):
        moved = similarity_counts((value + 1e-6).view(1, 1, 1).clamp(-1, 1), there)
        assert (moved - similarity_counts(value.view(1, 1, 1), there)).abs().max() < 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_same_seed_gives_the_same_weights_in_all_variants(variant: str) -> None:
    full = build_ranker(SPEC, 3, tables())
    less = build_ranker(SPEC.model_copy(update={"variant": variant}), 3, tables())
    for a, b in zip(full.parameters(), less.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(full.ids.weight, build_ranker(SPEC, 4, tables()).ids.weight)


def test_an_item_unseen_in_training_shares_the_unknown_id() -> None:
    model = ranker()
    unseen = model.encode(torch.tensor([UNSEEN, UNSEEN + 1])).x[:, : SPEC.id_dim]
    torch.testing.assert_close(unseen, model.unknown().expand(2, -1))
