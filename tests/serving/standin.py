"""A ranker bundle made by hand: an ONNX graph with the real inputs in which every input moves the score.

Serving is tested on it, so that its tests need no trained model. Nothing about the formula is meaningful.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from reaseq.artifacts import Artifact, Draft, Workspace, build
from tests.smallworld import CATEGORIES, ITEMS, item_id

DIM = 128
INT, FLOAT = TensorProto.INT64, TensorProto.FLOAT
Arrays = dict[str, np.ndarray]


def write_ranker(
    out: Path,
    workspace: Workspace,
    short: int = 6,
    long: int = 10,
    inferred: int = 5,
    levels: int = 4,
    items: int = ITEMS,
    golden: int = 4,
    seed: int = 0,
) -> Artifact:
    """A ranker artifact over the small world's items, or more of them."""
    rng = np.random.default_rng(seed)

    def write(draft: Draft) -> None:
        onnx.save(_graph(rng, short, long, inferred, levels, items), draft.path / "model.onnx")
        session = onnxruntime.InferenceSession(draft.path / "model.onnx", providers=["CPUExecutionProvider"])
        tensors: Arrays = {}
        sizes = [1, 7, 40, 1000][:golden]
        for n, request in enumerate(requests(rng, sizes, short, long, inferred, levels, items)):
            tensors |= {f"{n}/{name}": value for name, value in request.items()}
            tensors[f"{n}/scores"] = session.run(["scores"], request)[0]
        save_file(tensors, draft.path / "golden.safetensors")
        save_file({"none": np.zeros(1, np.float32)}, draft.path / "model.safetensors")
        pq.write_table(pa.table({"item_id": [item_id(n + 1) for n in range(items)]}), draft.path / "vocabulary.parquet")
        draft.write_json(
            "ranker.json",
            {
                "variant": "full",
                "categories": sorted(CATEGORIES),
                "limits": {"short": short, "long": long, "inferred": inferred, "levels": levels},
            },
        )
        (draft.path / "training.jsonl").write_text("")

    sizes = {"short": short, "long": long, "inferred": inferred, "levels": levels, "items": items, "golden": golden}
    return build(out, kind="ranker", config=sizes | {"seed": seed}, inputs={}, write=write, workspace=workspace)


def requests(
    rng: np.random.Generator, sizes: list[int], short: int, long: int, inferred: int, levels: int, items: int
) -> Iterator[Arrays]:
    """One request of each number of candidates, every third candidate an item newer than the model."""
    for size in sizes:
        candidates = rng.integers(1, items + 1, size)
        cold_index = np.zeros(size, np.int64)
        candidates[::3], cold_index[::3] = 0, rng.integers(0, 3, len(candidates[::3]))
        filled = int(rng.integers(0, short + 1))
        age = np.zeros((1, short), np.float32)
        age[:, :filled] = np.sort(rng.random(filled) * 5)
        confidence = np.sort(rng.random((1, inferred)).astype(np.float32))[:, ::-1].copy()
        yield {
            "candidates": candidates.astype(np.int64),
            "history": _padded(rng, items, filled, short),
            "history_age": age,
            "long_history": _padded(rng, items, min(long, filled + 2), long),
            "inferred": rng.integers(1, items + 1, (1, inferred)),
            "inferred_vectors": rng.normal(size=(1, inferred, DIM)).astype(np.float32),
            "inferred_confidence": confidence,
            "profile": rng.random((1, 4)).astype(np.float32) * 3,
            "cold_index": cold_index,
            "cold_vectors": rng.normal(size=(3, DIM)).astype(np.float32),
            "cold_codes": rng.integers(0, 8, (3, levels)),
            "cold_category": rng.integers(0, len(CATEGORIES) + 1, 3),
        }


def _padded(rng: np.random.Generator, items: int, filled: int, width: int) -> np.ndarray:
    row = np.zeros((1, width), np.int64)
    row[0, :filled] = rng.integers(1, items + 1, filled)
    return row


def _graph(rng: np.random.Generator, short: int, long: int, inferred: int, levels: int, items: int) -> onnx.ModelProto:
    table = rng.normal(size=(items + 1, DIM)).astype(np.float32)
    table[0] = 0
    constants = {
        "table": table,
        "category_bias": rng.normal(size=len(CATEGORIES) + 1).astype(np.float32),
        "profile_weight": rng.normal(size=(4, 1)).astype(np.float32),
        "zero": np.zeros((), np.int64),
        "last": np.array([1], np.int64),
        "all": np.array([-1], np.int64),
        "code_scale": np.array(0.01, np.float32),
        "scale": np.array(0.02, np.float32),
        "ages": np.array([2], np.int64),
    }

    def node(op: str, inputs: str, output: str, **attributes: int) -> onnx.NodeProto:
        return helper.make_node(op, inputs.split(), [output], **attributes)

    nodes = [
        node("Gather", "table candidates", "warm"),
        node("Gather", "cold_vectors cold_index", "cold"),
        node("Equal", "candidates zero", "is_new"),
        node("Unsqueeze", "is_new last", "is_new_row"),
        node("Where", "is_new_row cold warm", "target"),  # [C, 128]
        node("Gather", "table history", "short"),
        node("Neg", "history_age", "negative_age"),
        node("Exp", "negative_age", "decay"),
        node("Unsqueeze", "decay ages", "decay_row"),
        node("Mul", "short decay_row", "recent"),
        node("ReduceSum", "recent last", "recent_sum", keepdims=0),
        node("Gather", "table long_history", "far"),
        node("ReduceSum", "far last", "far_sum", keepdims=0),
        node("Gather", "table inferred", "guessed"),
        node("Add", "guessed inferred_vectors", "latent"),
        node("Unsqueeze", "inferred_confidence ages", "confidence_row"),
        node("Mul", "latent confidence_row", "weighted"),
        node("ReduceSum", "weighted last", "latent_sum", keepdims=0),
        node("Sum", "recent_sum far_sum latent_sum", "user"),  # [1, 128]
        node("Transpose", "user", "user_column", perm=[1, 0]),
        node("MatMul", "target user_column", "match"),
        node("Mul", "match scale", "scaled"),
        node("MatMul", "profile profile_weight", "profile_bias"),
        node("Cast", "cold_codes", "codes_float", to=FLOAT),
        node("ReduceSum", "codes_float last", "codes_sum", keepdims=0),
        node("Mul", "codes_sum code_scale", "codes_bias"),
        node("Gather", "category_bias cold_category", "categories_bias"),
        node("Add", "codes_bias categories_bias", "cold_bias"),
        node("Gather", "cold_bias cold_index", "candidate_bias"),
        node("Unsqueeze", "candidate_bias last", "candidate_bias_row"),
        node("Sum", "scaled profile_bias candidate_bias_row", "logits"),
        node("Sigmoid", "logits", "probability"),
        node("Reshape", "probability all", "scores"),
    ]
    inputs = [
        ("candidates", INT, ["C"]),
        ("history", INT, [1, short]),
        ("history_age", FLOAT, [1, short]),
        ("long_history", INT, [1, long]),
        ("inferred", INT, [1, inferred]),
        ("inferred_vectors", FLOAT, [1, inferred, DIM]),
        ("inferred_confidence", FLOAT, [1, inferred]),
        ("profile", FLOAT, [1, 4]),
        ("cold_index", INT, ["C"]),
        ("cold_vectors", FLOAT, ["K", DIM]),
        ("cold_codes", INT, ["K", levels]),
        ("cold_category", INT, ["K"]),
    ]
    graph = helper.make_graph(
        nodes,
        "standin",
        [helper.make_tensor_value_info(*spec) for spec in inputs],
        [helper.make_tensor_value_info("scores", FLOAT, ["C"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model
