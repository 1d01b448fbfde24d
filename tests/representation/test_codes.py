import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.representation.codebook import Codebook
from reaseq.representation.errors import RepresentationError
from reaseq.representation.quantization import describe_codes, fit_codebook, gini


def vectors(items: int, seed: int = 0, dim: int = 128) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=(items, dim)).astype(np.float32)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.sampled_from([1, 2, 4]), st.integers(2, 9), st.integers(0, 5))
def test_each_code_names_the_nearest_centroid(items: int, levels: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(8, 8)))[0].astype(np.float32)
    codebook = Codebook(rotation, rng.normal(size=(levels, size, 8 // levels)).astype(np.float32))
    z = vectors(items, seed, dim=8)

    parts = (z @ rotation.T).reshape(items, levels, -1)
    distance = ((parts[:, :, None] - codebook.centroids[None]) ** 2).sum(-1)
    chosen = np.take_along_axis(distance, codebook.encode(z)[..., None].astype(int), -1)[..., 0]
    np.testing.assert_allclose(chosen, distance.min(-1), atol=1e-5)


def test_the_centroids_own_vectors_come_back_from_their_codes() -> None:
    codebook, _ = fit_codebook(vectors(400), np.ones(400, bool), levels=4, size=16, seed=0)
    codes = np.random.default_rng(0).integers(0, 16, (30, 4))

    np.testing.assert_array_equal(codebook.encode(codebook.decode(codes)), codes)
    np.testing.assert_allclose(codebook.rotation @ codebook.rotation.T, np.eye(128), atol=1e-4)


def test_a_fitted_codebook_beats_one_without_rotation_on_the_items_it_saw() -> None:
    spread = np.concatenate([np.full(16, 5.0), np.full(112, 0.2)])  # all that varies lies in one of four parts
    z = vectors(600) * spread.astype(np.float32)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    fitted, _ = fit_codebook(z, np.ones(600, bool), levels=4, size=16, seed=0)

    from sklearn.cluster import KMeans

    parts = z.reshape(600, 4, -1).swapaxes(0, 1)
    plain = np.stack([KMeans(16, n_init=1, random_state=0).fit(part).cluster_centers_ for part in parts])
    unrotated = Codebook(np.eye(128, dtype=np.float32), plain.astype(np.float32))

    def distortion(codebook: Codebook) -> float:
        return float(((codebook.decode(codebook.encode(z)) - z) ** 2).sum(1).mean())

    assert distortion(fitted) < 0.8 * distortion(unrotated)


def test_items_without_training_events_leave_the_codebook_as_it_is() -> None:
    trained = np.arange(300) < 200
    z = vectors(300)
    moved = z.copy()
    moved[~trained] = vectors(100, seed=9)

    one, _ = fit_codebook(z, trained, 4, 32, seed=0)
    two, _ = fit_codebook(moved, trained, 4, 32, seed=0)

    np.testing.assert_array_equal(one.centroids, two.centroids)
    np.testing.assert_array_equal(one.rotation, two.rotation)


@pytest.mark.parametrize(("items", "wanted", "size"), [(400, 256, 64), (54, 32, 8), (9, 32, 2), (300, 48, 32)])
def test_few_items_get_a_small_codebook(items: int, wanted: int, size: int) -> None:
    codebook, facts = fit_codebook(vectors(items), np.ones(items, bool), 4, wanted, seed=0)

    assert (codebook.size, facts) == (size, {"items": items, "all_items": False, "size": size})


def test_with_too_few_training_items_all_are_fitted_on_and_that_is_said() -> None:
    _, facts = fit_codebook(vectors(50), np.arange(50) < 5, 4, 32, seed=0)

    assert facts["all_items"]
    assert facts["items"] == 50


@pytest.mark.parametrize(("items", "levels", "told"), [(7, 4, "data.source"), (50, 5, "representation.levels")])
def test_an_impossible_codebook_is_refused(items: int, levels: int, told: str) -> None:
    with pytest.raises(RepresentationError, match=told):
        fit_codebook(vectors(items), np.ones(items, bool), levels, 32, seed=0)


def test_code_use_is_described() -> None:
    codebook = Codebook(np.eye(4, dtype=np.float32), np.zeros((2, 4, 2), np.float32))
    codes = np.array([[0, 1], [0, 1], [1, 1], [2, 1]])

    facts = describe_codes(codes, np.zeros((4, 4), np.float32), codebook)

    assert facts["utilisation"] == [0.75, 0.25]
    assert facts["gini"][1] == 0.75
    assert (facts["distinct"], facts["collisions"], facts["largest_group"]) == (3, 0.5, 2)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=20).filter(any))
def test_gini_is_half_the_relative_mean_difference(counts: list[int]) -> None:
    values = np.array(counts, float)

    expected = np.abs(values[:, None] - values).mean() / (2 * values.mean())
    assert gini(values) == pytest.approx(expected, abs=1e-9)
