import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pyarrow as pa
import pytest

from reaseq import schema
from reaseq.artifacts import MANIFEST, Artifact, Draft, Workspace, build, open_artifact
from reaseq.errors import ArtifactError


def write_one(draft: Draft) -> None:
    draft.write_json("metrics.json", {"a": 1})
    (draft.path / "rows.jsonl").write_text("{}\n")


def make(out: Path, workspace: Workspace, write=write_one, **changes) -> Artifact:
    arguments = {"kind": "evaluation", "config": {"x": 1}, "inputs": {}} | changes
    return build(out, write=write, workspace=workspace, **arguments)


def test_what_was_built_can_be_opened(tmp_path: Path, workspace: Workspace) -> None:
    made = make(tmp_path / "out", workspace)
    opened = open_artifact(tmp_path / "out", "evaluation")
    assert opened.digest == made.digest
    assert opened.json("metrics.json") == {"a": 1}


def test_the_digest_covers_content_and_not_the_hour(tmp_path: Path) -> None:
    one = make(tmp_path / "a", Workspace(tmp_path / "w1"))
    time.sleep(1.1)
    two = make(tmp_path / "b", Workspace(tmp_path / "w2"))
    assert one.manifest.created != two.manifest.created
    assert one.digest == two.digest


@pytest.mark.parametrize("file", ["metrics.json", "rows.jsonl"])
def test_a_changed_byte_is_refused_with_the_remedy(tmp_path: Path, workspace: Workspace, file: str) -> None:
    make(tmp_path / "out", workspace)
    path = tmp_path / "out" / file
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{file} was changed.*Delete the folder"):
        open_artifact(tmp_path / "out")


def test_a_missing_file_and_a_missing_manifest_are_refused(tmp_path: Path, workspace: Workspace) -> None:
    make(tmp_path / "out", workspace)
    (tmp_path / "out" / "rows.jsonl").unlink()
    with pytest.raises(ArtifactError, match=r"rows\.jsonl is missing"):
        open_artifact(tmp_path / "out")
    (tmp_path / "out" / MANIFEST).unlink()
    with pytest.raises(ArtifactError, match="did not finish"):
        open_artifact(tmp_path / "out")


def test_another_kind_or_version_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    make(tmp_path / "out", workspace)
    with pytest.raises(ArtifactError, match="'ranker' is needed"):
        open_artifact(tmp_path / "out", "ranker")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text()) | {"version": 99}
    (tmp_path / "out" / MANIFEST).unlink()
    (tmp_path / "out" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="version 99"):
        open_artifact(tmp_path / "out")


def test_the_same_work_is_not_done_twice(tmp_path: Path, workspace: Workspace) -> None:
    calls = []

    def write(draft: Draft) -> None:
        calls.append(1)
        write_one(draft)

    make(tmp_path / "a", workspace, write)
    make(tmp_path / "b", workspace, write)
    assert len(calls) == 1
    make(tmp_path / "c", workspace, write, config={"x": 2})
    make(tmp_path / "d", workspace, write, inputs={"dataset": open_artifact(tmp_path / "a")})
    make(tmp_path / "e", workspace, write, name="another")
    assert len(calls) == 4


def test_a_corrupted_artifact_in_the_workspace_is_made_again(tmp_path: Path, workspace: Workspace) -> None:
    made = make(tmp_path / "a", workspace)
    (tmp_path / "a" / "metrics.json").write_text("broken")  # a hard link: the workspace's copy breaks too
    again = make(tmp_path / "b", workspace)
    assert again.digest == made.digest
    assert open_artifact(tmp_path / "b").json("metrics.json") == {"a": 1}


def test_a_table_that_is_not_of_the_schema_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    def write(draft: Draft) -> None:
        draft.write_table("x.parquet", pa.table({"user_id": ["u"]}), schema.PREDICTIONS)

    with pytest.raises(ArtifactError, match="columns are"):
        make(tmp_path / "a", workspace, write)

    def write_nulls(draft: Draft) -> None:
        table = pa.table(
            {
                "user_id": pa.nulls(1, pa.string()),
                **{n: [0] for n in ("events", "categories", "first_time", "last_time")},
            }
        )
        table = table.add_column(1, "event_timestamp", pa.array([0], schema.TIMESTAMP))
        draft.write_table("x.parquet", table.select(schema.USER_PROFILE.names), schema.USER_PROFILE)

    with pytest.raises(ArtifactError, match="'user_id' holds nulls"):
        make(tmp_path / "a", workspace, write_nulls)


def _slow(root: str) -> None:
    def write(draft: Draft) -> None:
        step = draft.scratch / "step"
        done = int(step.read_text()) if step.exists() else 0
        (draft.path / "half.json").write_text("{")
        for n in range(done, 20):
            step.write_text(str(n + 1))
            time.sleep(0.05)
        (draft.path / "half.json").unlink()
        draft.facts["resumed_from"] = done
        write_one(draft)

    make(Path(root) / "out", Workspace(Path(root) / "w"), write)


def test_a_killed_writer_leaves_nothing_that_opens_and_its_scratch_is_found_again(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_slow, args=(str(tmp_path),))
    process.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob("step")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    for folder in [p for p in tmp_path.rglob("*") if p.is_dir()]:
        with pytest.raises(ArtifactError):
            open_artifact(folder)
    _slow(str(tmp_path))
    made = open_artifact(tmp_path / "out")
    assert made.facts["resumed_from"] > 0
    assert set(made.manifest.files) == {"metrics.json", "rows.jsonl"}
    assert not list(tmp_path.rglob("step"))


def test_two_writers_of_one_artifact_do_the_work_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_slow, args=(str(tmp_path / "shared"),)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [w.exitcode for w in writers] == [0, 0]
    assert open_artifact(tmp_path / "shared" / "out").facts["resumed_from"] == 0
