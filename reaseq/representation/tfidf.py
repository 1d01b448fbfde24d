"""TF-IDF + truncated SVD (latent semantic analysis) as a `TextEncoder`: words only, no pretrained knowledge."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from safetensors.numpy import load_file, save_file
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_limits

from reaseq.config import Json
from reaseq.representation.encoders import CHOICES, Provenance
from reaseq.representation.errors import EncoderUnavailableError

DIM = 256
"""Width, where the catalogue has as many terms and texts."""
_TERMS = 50_000
_TENSORS, _VOCABULARY = "tfidf.safetensors", "tfidf.json"


class TfidfEncoder:
    """Terms are words and word pairs, weighted by 1 + log tf and idf, projected and brought to unit length."""

    def __init__(self, terms: list[str], idf: np.ndarray, components: np.ndarray):
        """`idf` is float32 [terms], `components` float32 [dim, terms]."""
        self._terms = terms
        self._vectorizer = _vectorizer(vocabulary={term: i for i, term in enumerate(terms)})
        self._vectorizer.idf_ = idf.astype(np.float64)
        self._components = components
        total = hashlib.sha256(json.dumps(terms).encode())
        total.update(idf.astype("<f4").tobytes())
        total.update(components.astype("<f4").tobytes())
        self.provenance = Provenance("tfidf", f"scikit-learn {sklearn.__version__}", len(components), total.hexdigest())
        self.recipe = self.provenance.digest

    @classmethod
    def fit(cls, texts: Sequence[str], *, seed: int, threads: int) -> "TfidfEncoder":
        """Fit on the distinct texts of a catalogue, in an order that does not depend on theirs.

        Raises:
            EncoderUnavailableError: they hold fewer than three terms in all.
        """
        distinct = sorted(set(texts))
        vectorizer = _vectorizer(max_features=_TERMS)
        try:
            weights = vectorizer.fit_transform(distinct)
        except ValueError:  # sklearn's "empty vocabulary"
            weights = None
        if weights is None or min(weights.shape) < 3:
            raise EncoderUnavailableError(
                f"representation.encoder 'tfidf' can't be used: the catalogue's {len(distinct)} distinct texts hold "
                f"too few words to fit it on. Set representation.encoder to one of {CHOICES}."
            )
        svd = TruncatedSVD(min(DIM, min(weights.shape) - 1), random_state=seed)
        with threadpool_limits(threads):
            svd.fit(weights)
        terms = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
        return cls(terms, vectorizer.idf_.astype(np.float32), svd.components_.astype(np.float32))

    @classmethod
    def load(cls, folder: Path, provenance: Json) -> "TfidfEncoder":
        """Read what `save` wrote.

        Raises:
            EncoderUnavailableError: the files are not there or not those that `provenance` names.
        """
        if not (folder / _TENSORS).is_file() or not (folder / _VOCABULARY).is_file():
            raise EncoderUnavailableError(
                f"representation.encoder 'tfidf': {folder} lacks {_TENSORS} or {_VOCABULARY}. Run the representation "
                "stage again."
            )
        tensors = load_file(folder / _TENSORS)
        encoder = cls(json.loads((folder / _VOCABULARY).read_text()), tensors["idf"], tensors["components"])
        if encoder.provenance.digest != provenance["digest"]:
            raise EncoderUnavailableError(
                f"representation.encoder 'tfidf': {folder / _TENSORS} is not what made the item vectors beside it. Run "
                "the representation stage again."
            )
        return encoder

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, dim], of unit length; zeros for a text without a known term."""
        weights = self._vectorizer.transform(texts)
        projected: np.ndarray = normalize(weights @ self._components.T.astype(np.float64))
        return projected.astype(np.float32)

    def save(self, folder: Path) -> None:
        tensors = {"idf": self._vectorizer.idf_.astype(np.float32), "components": self._components}
        save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, folder / _TENSORS)
        (folder / _VOCABULARY).write_text(json.dumps(self._terms) + "\n")


def _vectorizer(**options: Any) -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, strip_accents="unicode", **options)
