import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from reaseq.representation.aligner import VIEWS, Aligner, unit
from reaseq.schema import VECTOR_DIM


def texts(items: int, dim: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(items, len(VIEWS), dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)


@pytest.mark.parametrize(("items", "dim"), [(300, 384), (40, 384), (300, 32)])
def test_z_starts_as_pca_of_the_titles(items: int, dim: int) -> None:
    given_texts = texts(items, dim)

    z = Aligner.from_titles(given_texts[:, 0]).embed(given_texts)

    projected = PCA(min(VECTOR_DIM, items, dim)).fit_transform(given_texts[:, 0].astype(np.float64))
    reference = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    assert z.shape == (items, VECTOR_DIM)
    np.testing.assert_allclose(z @ z.T, reference @ reference.T, atol=2e-5)


def test_a_fresh_head_reads_nothing_but_the_title() -> None:
    given_texts = texts(50, 16)
    aligner = Aligner.from_titles(given_texts[:, 0])
    others = given_texts.copy()
    others[:, 1:] = texts(50, 16, seed=1)[:, 1:]

    np.testing.assert_array_equal(aligner.embed(given_texts), aligner.embed(others))


def trained(aligner: Aligner) -> Aligner:
    """The head with other weights, as if alignment had changed them."""
    torch.manual_seed(0)
    for view in aligner.views:
        torch.nn.init.normal_(view[-1].weight, std=0.1)
    return aligner


def axes_of(vectors: np.ndarray, width: int) -> np.ndarray:
    """Their principal axes by sklearn, at unit length."""
    projected = PCA(width).fit_transform(vectors.astype(np.float64))
    return projected / np.linalg.norm(projected, axis=1, keepdims=True)


def test_a_joined_head_gives_the_axes_of_titles_and_of_what_was_learned_side_by_side() -> None:
    given_texts = texts(200, 48)
    titles = Aligner.from_titles(given_texts[:, 0]).embed(given_texts)
    aligner = trained(Aligner.from_titles(given_texts[:, 0], title_dim=32))
    aligner.join(given_texts)

    z = aligner.embed(given_texts)

    assert z.shape == (200, VECTOR_DIM)
    for part, reference in (
        (z[:, :32], axes_of(titles, 32)),
        (z[:, 32:], axes_of(aligner.embed_aligned(given_texts), VECTOR_DIM - 32)),
    ):
        np.testing.assert_allclose(2 * part @ part.T, reference @ reference.T, atol=1e-4)


def test_a_joined_head_of_few_items_has_the_axes_there_are() -> None:
    given_texts = texts(20, 8)
    aligner = trained(Aligner.from_titles(given_texts[:, 0], title_dim=64))
    aligner.join(given_texts[:5])

    np.testing.assert_allclose(np.linalg.norm(aligner.embed(given_texts), axis=1), 1, atol=1e-5)


def test_a_trained_head_reads_every_view() -> None:
    given_texts = texts(50, 16)
    aligner = trained(Aligner.from_titles(given_texts[:, 0]))
    for view in range(len(VIEWS)):
        others = given_texts.copy()
        others[:, view] = texts(50, 16, seed=1)[:, view]
        assert not np.allclose(aligner.embed(given_texts), aligner.embed(others))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 20), st.integers(1, 8), st.integers(0, 3), st.sampled_from([0.0, 1e-9, 1.0, 1e3]))
def test_z_is_of_unit_length_whatever_the_texts(items: int, dim: int, seed: int, size: float) -> None:
    given_texts = texts(items, dim, seed) * np.float32(size)

    z = Aligner.from_titles(given_texts[:, 0]).embed(given_texts)

    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)


def test_a_vector_without_direction_gets_one_and_a_finite_gradient() -> None:
    vectors = torch.zeros(2, 4, requires_grad=True)

    made = unit(vectors)
    made.sum().backward()

    assert made.tolist() == [[1, 0, 0, 0]] * 2
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize("title_dim", [0, 64])
def test_a_saved_head_comes_back_bit_for_bit(tmp_path, title_dim: int) -> None:
    given_texts = texts(50, 16)
    aligner = trained(Aligner.from_titles(given_texts[:, 0], title_dim))
    if title_dim:
        aligner.join(given_texts)
    aligner.save(tmp_path / "aligner.safetensors", {"version": "x"})

    again = Aligner.load(tmp_path / "aligner.safetensors")

    np.testing.assert_array_equal(again.embed(given_texts), aligner.embed(given_texts))
