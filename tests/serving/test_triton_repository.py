import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from reaseq import config
from reaseq.artifacts import Artifact, Workspace
from reaseq.artifacts import build as build_artifact
from reaseq.errors import ArtifactError
from reaseq.ranking.features import FeatureLimits
from serving.errors import ServingError
from serving.triton_repository import TEMPLATE, TensorSpec, build, config_pbtxt, request_tensors
from tests.serving.standin import write_ranker

PARSE = """
import sys
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2
parsed = text_format.Parse(open(sys.argv[1]).read(), model_config_pb2.ModelConfig())
print(parsed.backend, parsed.max_batch_size, len(parsed.input), len(parsed.model_warmup[0].inputs))
"""


def test_the_reference_configuration_is_that_of_the_base_preset() -> None:
    base = config.load("base")
    sizes = base.ranking.short_history, base.ranking.long_history, base.behavior.inferred, base.representation.levels
    limits = FeatureLimits(*sizes, trimmed=True)
    generated = config_pbtxt(request_tensors(limits), [TensorSpec("scores", "TYPE_FP32", (-1,))], "python", "")
    assert generated == (TEMPLATE / "config.pbtxt").read_text()


def test_the_python_backend_gets_the_model_code_and_the_graph(repository: Path, bundle: Artifact) -> None:
    files = {str(p.relative_to(repository)) for p in repository.rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert files == {f"reaseq_ranker/{name}" for name in ("config.pbtxt", "1/model.onnx", "1/model.py")}
    assert bundle.digest in (repository / "reaseq_ranker" / "config.pbtxt").read_text()


def test_both_backends_have_the_same_tensors(tmp_path: Path, bundle: Artifact, repository: Path) -> None:
    cluster = build(bundle, tmp_path / "cluster", backend="onnxruntime", instances=2) / "reaseq_ranker"
    assert [p.name for p in (cluster / "1").iterdir()] == ["model.onnx"]
    ours = set((repository / "reaseq_ranker" / "config.pbtxt").read_text().splitlines())
    theirs = set((cluster / "config.pbtxt").read_text().splitlines())
    assert {line.split()[0] for line in ours ^ theirs} == {"backend:", "instance_group", "parameters"}


@pytest.mark.parametrize("backend", ["python", "onnxruntime"])
def test_triton_s_own_schema_reads_the_configuration(tmp_path: Path, bundle: Artifact, backend: str) -> None:
    file = build(bundle, tmp_path / "triton", backend=backend) / "reaseq_ranker" / "config.pbtxt"  # type: ignore[arg-type]
    command = [sys.executable, "-c", PARSE, str(file)]  # its protobuf module can't be imported beside kserve
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [backend, "0", "12", "12"]


def test_what_a_killed_build_left_is_replaced(tmp_path: Path, bundle: Artifact) -> None:
    (tmp_path / ".triton.partial" / "reaseq_ranker").mkdir(parents=True)
    (tmp_path / "triton" / "another_model").mkdir(parents=True)
    built = build(bundle.path, tmp_path / "triton")
    assert [p.name for p in built.iterdir()] == ["reaseq_ranker"]
    assert [p.name for p in tmp_path.iterdir()] == ["triton"]


def test_a_changed_bundle_is_refused_and_the_old_repository_stays(tmp_path: Path) -> None:
    bundle = write_ranker(tmp_path / "ranker", Workspace(tmp_path / "workspace"), seed=3)
    built = build(bundle, tmp_path / "triton")
    graph = bundle.path / "model.onnx"
    graph.unlink()  # it shares its bytes with the workspace's and the repository's
    graph.write_bytes(b"not an onnx graph")
    with pytest.raises(ArtifactError, match=r"model\.onnx was changed"):
        build(bundle.path, tmp_path / "triton")
    assert (built / "reaseq_ranker" / "1" / "model.onnx").stat().st_size > 1000


def test_a_graph_that_takes_other_tensors_is_refused(tmp_path: Path, bundle: Artifact, workspace: Workspace) -> None:
    def write(draft) -> None:
        for name in bundle.manifest.files:
            (draft.path / name).write_bytes(bundle.file(name).read_bytes())
        graph = onnx.load(bundle.file("model.onnx"))
        next(i for i in graph.graph.input if i.name == "profile").type.tensor_type.elem_type = TensorProto.DOUBLE
        graph.graph.node.insert(0, onnx.helper.make_node("Cast", ["profile"], ["profile_float"], to=TensorProto.FLOAT))
        for node in graph.graph.node[1:]:
            node.input[:] = ["profile_float" if name == "profile" else name for name in node.input]
        onnx.save(graph, draft.path / "model.onnx")

    other = build_artifact(tmp_path / "other", kind="ranker", config={}, inputs={}, write=write, workspace=workspace)
    with pytest.raises(ServingError, match=r"'profile' is tensor\(double\)"):
        build(other, tmp_path / "triton")
    assert not (tmp_path / "triton").exists()


def test_a_bundle_of_other_sizes_is_refused(tmp_path: Path, workspace: Workspace, bundle: Artifact) -> None:
    def write(draft) -> None:
        for name in bundle.manifest.files:
            (draft.path / name).write_bytes(bundle.file(name).read_bytes())
        text = bundle.file("ranker.json").read_text()
        (draft.path / "ranker.json").write_text(text.replace('"inferred": 5', '"inferred": 6'))

    other = build_artifact(tmp_path / "other", kind="ranker", config={}, inputs={}, write=write, workspace=workspace)
    with pytest.raises(ServingError, match="train the ranker again"):
        build(other, tmp_path / "triton")
