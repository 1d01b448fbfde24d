"""Title vectors: the encoder's own, in the order of the items, made once."""

from pathlib import Path

import numpy as np

from reaseq.artifacts import Artifact, Workspace
from reaseq.representation.encoders import open_encoder
from reaseq.representation.titles import encode_titles, read_titles
from tests.representation.conftest import quick


def test_titles_are_what_the_encoder_makes_of_them(world: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    dataset, _ = world
    workspace = Workspace(tmp_path / "workspace")
    made = encode_titles(quick(), dataset, tmp_path / "titles", workspace)
    vectors = read_titles(made)
    titles = dataset.table("items.parquet", ["title"]).column(0).to_pylist()
    encoder = open_encoder("tfidf", texts=titles, seed=0, max_length=64, batch=64, threads=1, device="cpu")
    np.testing.assert_array_equal(vectors[1:], encoder.encode(titles))
    assert not vectors[0].any()
    assert vectors.shape == (made.facts["items"] + 1, made.facts["width"])
    assert encode_titles(quick(), dataset, tmp_path / "again", workspace).digest == made.digest
