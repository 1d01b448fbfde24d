"""Artifacts: a folder of files with a manifest that says what they are, what they were made from and their sha256.

    dataset/                       items.parquet  interactions.parquet  …  manifest.json

The manifest is written last and the folder appears by one rename, so a folder that a killed process left behind is no
artifact: `open_artifact` refuses it, as it refuses a changed byte, a missing file or another version.

`build` is how a stage makes its artifact. Its key is the digest of kind, versions, configuration and inputs; what an
earlier start finished under the same key is taken over from the workspace instead of being made again, and what it left
unfinished (checkpoints, caches) is found again in `draft.scratch`.
"""

import errno
import fcntl
import hashlib
import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

import reaseq
from reaseq import progress
from reaseq.config import Json, digest
from reaseq.errors import ArtifactError

MANIFEST = "manifest.json"

STREAMED: Json = {"pre_buffer": False, "buffer_size": 1 << 20}
"""For `pq.ParquetFile` where a file is read batch by batch: Arrow reads ahead by default, up to the whole file."""

VERSIONS = {
    "dataset": 1,
    "knowledge": 1,
    "item_vectors": 1,
    "title_vectors": 1,
    "denoiser": 2,
    "decoder": 2,
    "inferred_behaviors": 1,
    "ranker": 2,
    "arm": 1,
    "sequential": 1,
    "evaluation": 1,
    "gate": 1,
    "evidence": 1,
}
"""Kinds of artifact and the version of each one's layout; raise it when a reader of the old layout would go wrong."""


class FileEntry(BaseModel):
    model_config = ConfigDict(frozen=True)

    sha256: str
    bytes: int
    rows: int | None = None  # of a Parquet file


class Manifest(BaseModel):
    """What `manifest.json` holds. `digest` covers content alone, so two runs of one seed share it."""

    model_config = ConfigDict(frozen=True)

    kind: str
    name: str
    version: int
    key: str
    config: Json
    inputs: dict[str, str]  # name of the input → its digest
    files: dict[str, FileEntry]
    facts: Json  # what the stage wants known of its work: counts, sampling, split, scores
    created: str
    seconds: float
    peak_memory_bytes: int
    reaseq_version: str

    @property
    def digest(self) -> str:
        return digest([self.kind, self.version, {name: f.sha256 for name, f in sorted(self.files.items())}])


class Artifact:
    """A verified artifact. Holds its path and manifest; files are read on demand."""

    def __init__(self, path: Path, manifest: Manifest):
        self.path = path
        self.manifest = manifest

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def facts(self) -> Json:
        return self.manifest.facts

    def file(self, name: str) -> Path:
        """Path of a file that the manifest lists.

        Raises:
            ArtifactError: it lists none of that name.
        """
        if name not in self.manifest.files:
            raise ArtifactError(f"{self.manifest.kind} artifact {self.path} holds no file {name!r}.")
        return self.path / name

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A Parquet file of the artifact, `name` with its ending."""
        return pq.read_table(self.file(name), columns=columns)

    def json(self, name: str) -> Any:
        return json.loads(self.file(name).read_text())


class Draft:
    """An artifact in the making: the stage writes into `path`, `build` seals it."""

    def __init__(self, path: Path, scratch: Path):
        self.path = path
        self.scratch = scratch
        """Survives a killed start of the same key, and is removed once the artifact is sealed. For checkpoints."""
        self.facts: Json = {}

    def write_table(self, name: str, table: pa.Table, schema: pa.Schema) -> None:
        """Write a Parquet file; refuses a table that is not exactly of the schema."""
        if table.schema.names != schema.names:
            raise ArtifactError(f"{name}: columns are {table.schema.names}, the schema has {schema.names}.")
        for field in schema:
            if not field.nullable and table.column(field.name).null_count:
                raise ArtifactError(f"{name}: column {field.name!r} holds nulls and may not.")
        try:
            table = table.cast(schema)
        except (ValueError, pa.ArrowException) as error:
            raise ArtifactError(f"{name}: a column is not of the schema's type: {error}.") from error
        pq.write_table(table, self.path / name, compression="zstd", row_group_size=1 << 17)

    def write_json(self, name: str, value: Any) -> None:
        write_text(self.path / name, json.dumps(value, indent=2, sort_keys=True) + "\n")


class Workspace:
    """The folder that survives a restart: finished artifacts by key, scratch of unfinished ones, shards, LLM cache."""

    def __init__(self, root: Path | str):
        self.root = Path(root)

    def finished(self, kind: str, key: str) -> Path:
        return self.root / "artifacts" / f"{kind}-{key[:24]}"

    def scratch(self, kind: str, key: str) -> Path:
        return self.root / "scratch" / f"{kind}-{key[:24]}"

    @property
    def llm_cache(self) -> Path:
        return self.root / "llm_cache.sqlite"

    @property
    def shards(self) -> Path:
        """Impressions and vectors of inferred behaviours, unpacked so that they need not be held in memory."""
        return self.root / "shards"


def build(
    out: Path | str,
    *,
    kind: str,
    config: Json,
    inputs: Mapping[str, Artifact],
    write: Callable[[Draft], None],
    workspace: Workspace,
    name: str = "",
) -> Artifact:
    """Make the artifact `out`, or take it over from the workspace if the same one was made before.

    Args:
        out: folder to make; what stands there is replaced.
        kind: one of `VERSIONS`.
        config: the sections of the configuration that the work depends on (`RunConfig.part`).
        inputs: the artifacts it is made from.
        write: writes the files into `draft.path`; called only if nothing can be taken over.
        workspace: where finished artifacts and scratch folders live.
        name: tells two artifacts of one kind apart; part of the key.

    Raises:
        ArtifactError: the artifact that was just written can't be read back.
    """
    out = Path(out)
    sources = {source: artifact.digest for source, artifact in sorted(inputs.items())}
    key = digest([kind, name, VERSIONS[kind], reaseq.__version__, config, sources])
    finished = workspace.finished(kind, key)
    with sole_writer(finished):
        try:
            made = open_artifact(finished, kind)
            progress.note(f"{name or kind}: taken over from an earlier start")
        except ArtifactError:
            made = _make(finished, kind, name, key, config, sources, write, workspace)
    if out.resolve() != finished.resolve():
        _publish(made.path, out)
    return Artifact(out, made.manifest)


def open_artifact(path: Path | str, kind: str | None = None) -> Artifact:
    """Open and verify an artifact.

    Args:
        path: its folder.
        kind: what it must be; None takes any.

    Raises:
        ArtifactError: it is missing, unfinished, changed since it was written, or of another kind or version.
    """
    path = Path(path)
    remedy = "Delete the folder and run the stage again; finished stages are kept."
    if not path.is_dir():
        raise ArtifactError(f"artifact {path} is not there. {remedy}")
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise ArtifactError(f"artifact {path} has no {MANIFEST}: its writer did not finish. {remedy}") from None
    except ValueError as error:
        raise ArtifactError(f"artifact {path}: {MANIFEST} can't be read ({error}). {remedy}") from None
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(f"artifact {path} is a {manifest.kind!r}, and a {kind!r} is needed here.")
    if manifest.version != VERSIONS.get(manifest.kind):
        raise ArtifactError(
            f"artifact {path}: layout version {manifest.version} of kind {manifest.kind!r} was written by ReaSeq "
            f"{manifest.reaseq_version}; this one reads version {VERSIONS.get(manifest.kind)}. {remedy}"
        )
    for file, entry in manifest.files.items():
        _verify(path / file, entry, remedy)
    return Artifact(path, manifest)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file so that it is there whole or not at all; it gets its name when the block has ended well."""
    partial = path.with_name(f".{path.name}.partial")
    yield partial
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def sole_writer(finished: Path) -> Iterator[None]:
    """Two processes that need the same folder or file: one makes it, the other waits and takes it over.

    The kernel lets go of the lock when its holder dies, however it dies.
    """
    lock = finished.with_name(f".{finished.name}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note(f"another process is making {finished.name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(
    finished: Path,
    kind: str,
    name: str,
    key: str,
    config: Json,
    sources: dict[str, str],
    write: Callable[[Draft], None],
    workspace: Workspace,
) -> Artifact:
    partial = finished.with_name(f".{finished.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    scratch = workspace.scratch(kind, key)
    scratch.mkdir(parents=True, exist_ok=True)
    draft = Draft(partial, scratch)
    started = time.perf_counter()
    write(draft)
    manifest = Manifest(
        kind=kind,
        name=name or kind,
        version=VERSIONS[kind],
        key=key,
        config=config,
        inputs=sources,
        files={str(p.relative_to(partial)): _entry(p) for p in sorted(partial.rglob("*")) if p.is_file()},
        facts=draft.facts,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.perf_counter() - started, 3),
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        reaseq_version=reaseq.__version__,
    )
    write_text(partial / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    shutil.rmtree(finished, ignore_errors=True)
    partial.rename(finished)
    shutil.rmtree(scratch, ignore_errors=True)
    return open_artifact(finished, kind)


def _publish(source: Path, out: Path) -> None:
    """Give a finished artifact a second home, by hard links where the file system has them; appears by one rename."""
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, partial, copy_function=_link_or_copy)
    if out.is_dir():
        shutil.rmtree(out)
    else:
        with suppress(FileNotFoundError):
            out.unlink()
    partial.rename(out)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copy2(source, target)


def _entry(path: Path) -> FileEntry:
    rows = pq.read_metadata(path).num_rows if path.suffix == ".parquet" else None
    return FileEntry(sha256=_sha256(path), bytes=path.stat().st_size, rows=rows)


def _verify(path: Path, entry: FileEntry, remedy: str) -> None:
    if not path.is_file():
        raise ArtifactError(f"artifact file {path} is missing. {remedy}")
    if path.stat().st_size != entry.bytes or _sha256(path) != entry.sha256:
        raise ArtifactError(f"artifact file {path} was changed after it was written (sha256 differs). {remedy}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
