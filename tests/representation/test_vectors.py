import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from reaseq.artifacts import Artifact, Workspace, build
from reaseq.representation import ItemVectors, RepresentationError
from tests import smallworld


@pytest.fixture
def artifact(world, tmp_path: Path, workspace: Workspace) -> Artifact:
    return smallworld.write_item_vectors(tmp_path / "item_vectors", world[0], workspace)


def test_rows_are_item_indices_and_row_zero_is_padding(artifact: Artifact) -> None:
    vectors = ItemVectors.open(artifact)

    table = artifact.table("item_vectors.parquet")
    assert vectors.z.shape == (smallworld.ITEMS + 1, 128)
    assert (vectors.z.dtype, vectors.codes.dtype) == (np.float32, np.int64)
    assert not vectors.z[0].any()
    assert vectors.codes[0].tolist() == [-1] * 4
    assert vectors.z[7].tolist() == table.column("z")[6].as_py()
    assert vectors.codes[1:].tolist() == table.column("codes").to_pylist()
    assert vectors.centroids.shape == (4, 8, 32)
    assert vectors.rotation.shape == (128, 128)
    assert vectors.version == "small"


@pytest.mark.parametrize(
    ("column", "value"),
    [("version", ["a"] * 59 + ["b"]), ("codes", pa.array([[0, 1]] * 60, pa.list_(pa.int16())))],
)
def test_a_table_at_odds_with_itself_is_refused(artifact: Artifact, tmp_path, workspace, column, value) -> None:
    table = artifact.table("item_vectors.parquet")
    table = table.set_column(table.column_names.index(column), column, pa.array(value))

    def write(draft) -> None:
        draft.write_table("item_vectors.parquet", table, table.schema)
        (draft.path / "codebook.safetensors").write_bytes(artifact.file("codebook.safetensors").read_bytes())

    odd = build(tmp_path / "odd", kind="item_vectors", config={}, inputs={}, write=write, workspace=workspace)
    with pytest.raises(RepresentationError, match=column):
        ItemVectors.open(odd)


def test_reading_vectors_imports_neither_torch_nor_faiss() -> None:
    code = "import sys, reaseq.representation; print({'torch', 'faiss', 'transformers', 'sklearn'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
