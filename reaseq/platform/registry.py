"""The model registry: ranker bundles as versions, and the aliases that say which one is served.

    challenger   the newest registered version, a candidate
    champion     the version that is served
    previous     the version that was champion before, to roll back to

A version points to the whole bundle, byte for byte (`model_folder`). What is deployed is a version and its digest.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from reaseq import artifacts
from reaseq.artifacts import Artifact
from reaseq.platform.errors import RegistryError
from reaseq.platform.flatten import figures
from reaseq.platform.mlflow_store import MlflowStore, locate, translated
from reaseq.platform.model_folder import MODEL, write_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"
DIGEST_TAG = "reaseq.bundle_digest"
MODEL_TAG = "reaseq.model_id"


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of the ranker, resolved: what is deployed is this, never an alias that may move.

    Attributes:
        name: of the registered model.
        version: its number.
        source: URI of the folder with the bundle.
        digest: of the bundle artifact; `download` verifies it.
        model_id: MLflow's id of the logged model.
        run_id: MLflow run that it came from, "" if none.
        aliases: that point to it now.
        tags: of the version.
    """

    name: str
    version: int
    source: str
    digest: str
    model_id: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]


def register(
    bundle: Artifact,
    *,
    name: str,
    experiment: str,
    folder: Path,
    run_id: str = "",
    metrics: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> RegisteredVersion:
    """Make a version of a ranker bundle and give it the alias `challenger`, unless it is the champion already.

    Registering the same bundle again makes no second version.

    Args:
        bundle: a `ranker` artifact.
        name: of the registered model.
        experiment: that the logged model belongs to.
        folder: of the local store, where `MLFLOW_TRACKING_URI` is not set.
        run_id: MLflow's id of the run that it came from.
        metrics: tree of figures; its `auc` and `gauc` leaves become tags.
        tags: further tags.

    Raises:
        RegistryError: MLflow can't be reached, or the bundle holds no ONNX model.
    """
    if MODEL not in bundle.manifest.files:
        raise RegistryError(f"{bundle.path} holds no {MODEL}: only a ranker bundle can be registered.")
    store = locate(folder)
    with translated(RegistryError, store.uri):
        client = store.client()
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name, description="Ranker bundles: ONNX, vocabulary, golden requests")
        found = client.search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{bundle.digest}'")
        if found:
            version = min(found, key=lambda known: int(known.version))
        else:
            marks = _tags(bundle, metrics or {}) | dict(tags or {})
            version = _create(client, store, bundle, name, experiment, run_id, marks)
        if CHAMPION not in client.get_model_version(name, version.version).aliases:
            client.set_registered_model_alias(name, CHALLENGER, version.version)
        return _resolved(client, name, version.version)


def resolve(name: str, version: str | int, *, folder: Path) -> RegisteredVersion:
    """The version behind an alias or a number.

    Raises:
        RegistryError: there is none, or MLflow can't be reached.
    """
    store = locate(folder)
    with translated(RegistryError, store.uri):
        client = store.client()
        number = str(version) if str(version).isdigit() else _aliased(client, name, str(version))
        return _resolved(client, name, number)


def find(name: str, alias: str, *, folder: Path) -> RegisteredVersion | None:
    """The version behind an alias, or None where the model or the alias is not there.

    Raises:
        RegistryError: MLflow can't be reached.
    """
    store = locate(folder)
    with translated(RegistryError, store.uri):
        client = store.client()
        models = {model.name: model.aliases for model in client.search_registered_models(f"name = '{name}'")}
        number = models.get(name, {}).get(alias)
        return None if number is None else _resolved(client, name, str(number))


def mark(version: RegisteredVersion, prefix: str, tags: Mapping[str, str], *, folder: Path) -> None:
    """Give a version these tags; those it has under `prefix` and that are not among them go.

    Raises:
        RegistryError: MLflow can't be reached.
    """
    store = locate(folder)
    number = str(version.version)
    with translated(RegistryError, store.uri):
        client = store.client()
        known = client.get_model_version(version.name, number).tags
        for name in sorted(known.keys() - tags.keys()):
            if name.startswith(prefix):
                client.delete_model_version_tag(version.name, number, name)
        for name, value in tags.items():
            client.set_model_version_tag(version.name, number, name, value)


def promote(name: str, version: str | int, *, folder: Path) -> RegisteredVersion:
    """Make a version (an alias or a number) the champion; the champion until now becomes `previous`.

    `promote(name, "previous", …)` rolls back. Promoting the champion changes nothing.

    Raises:
        RegistryError: there is no such version, or MLflow can't be reached.
    """
    chosen = resolve(name, version, folder=folder)
    store = locate(folder)
    with translated(RegistryError, store.uri):
        client = store.client()
        aliases = client.get_registered_model(name).aliases
        champion = aliases.get(CHAMPION)
        if champion is not None and int(champion) != chosen.version:
            client.set_registered_model_alias(name, PREVIOUS, champion)
        client.set_registered_model_alias(name, CHAMPION, str(chosen.version))
        if int(aliases.get(CHALLENGER, -1)) == chosen.version:
            client.delete_registered_model_alias(name, CHALLENGER)
        return _resolved(client, name, str(chosen.version))


def download(version: RegisteredVersion, out: Path, *, folder: Path) -> Artifact:
    """Bring a version's bundle into the folder `out`, byte for byte, and verify it.

    Raises:
        RegistryError: its files are not those that were registered, or MLflow can't be reached.
        ArtifactError: a file was changed.
    """
    store = locate(folder)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with translated(RegistryError, store.uri):
        source = _local(version.source) or Path(_fetched(version.source, store))
        manifest = source / artifacts.MANIFEST
        if not manifest.is_file():
            raise RegistryError(f"version {version.version} of {version.name!r}: {version.source} holds no bundle.")
        shutil.copy2(manifest, partial)
        for file in json.loads(manifest.read_text())["files"]:
            (partial / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / file, partial / file)
    bundle = artifacts.open_artifact(partial, "ranker")
    if bundle.digest != version.digest:
        raise RegistryError(
            f"version {version.version} of {version.name!r}: the bundle at {version.source} has digest "
            f"{bundle.digest[:12]}…, {version.digest[:12]}… was registered. Register the ranker again."
        )
    shutil.rmtree(out, ignore_errors=True)
    partial.rename(out)
    return Artifact(out, bundle.manifest)


def _create(
    client: "MlflowClient",
    store: MlflowStore,
    bundle: Artifact,
    name: str,
    experiment: str,
    run_id: str,
    tags: dict[str, str],
) -> "ModelVersion":
    from mlflow.entities import LoggedModelOutput

    source_run = run_id or None
    model = client.create_logged_model(
        store.experiment(client, experiment), name="ranker", source_run_id=source_run, tags=tags, model_type="ranker"
    )
    with tempfile.TemporaryDirectory(prefix="reaseq-register-") as scratch:
        write_model(Path(scratch), bundle, model.model_id, source_run)
        client.log_model_artifacts(model.model_id, scratch)
    client.finalize_logged_model(model.model_id, "READY")
    if run_id:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    tags = tags | {MODEL_TAG: model.model_id}
    if store.artifacts is None:
        source = f"models:/{model.model_id}"
        return client.create_model_version(name, source, run_id=source_run, tags=tags, model_id=model.model_id)
    # Without a server, `models:/…` would be looked up in the process-wide store, which need not be this one.
    return client.create_model_version(name, model.artifact_location, run_id=source_run, tags=tags)


def _tags(bundle: Artifact, metrics: Mapping[str, Any]) -> dict[str, str]:
    tags = {DIGEST_TAG: bundle.digest, "reaseq.variant": bundle.manifest.name}
    tags |= {f"reaseq.{name}_digest": digest for name, digest in bundle.manifest.inputs.items()}
    scores = {name: value for name, value in figures(metrics).items() if name.split(".")[-1] in ("auc", "gauc")}
    return tags | {f"reaseq.metrics.{name}": f"{value:.6f}" for name, value in list(scores.items())[:60]}


def _aliased(client: "MlflowClient", name: str, alias: str) -> str:
    known = {model.name: model.aliases for model in client.search_registered_models(f"name = '{name}'")}
    if name not in known:
        raise RegistryError(f"model {name!r} is not registered; run the pipeline first.")
    if alias not in known[name]:
        there = ", ".join(f"{key} (version {number})" for key, number in sorted(known[name].items())) or "none"
        raise RegistryError(f"model {name!r} has no alias {alias!r}; it has: {there}. A version number works too.")
    return str(known[name][alias])


def _resolved(client: "MlflowClient", name: str, number: str) -> RegisteredVersion:
    if not client.search_model_versions(f"name = '{name}' and version_number = {int(number)}"):
        raise RegistryError(f"model {name!r} has no version {number}; `reaseq ui` shows the versions there are.")
    version = client.get_model_version(name, number)
    return RegisteredVersion(
        name=name,
        version=int(version.version),
        source=client.get_model_version_download_uri(name, number),
        digest=version.tags.get(DIGEST_TAG, ""),
        model_id=version.tags.get(MODEL_TAG, ""),
        run_id=version.run_id or "",
        aliases=tuple(sorted(version.aliases)),
        tags=dict(version.tags),
    )


def _local(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _fetched(uri: str, store: MlflowStore) -> str:
    from mlflow.artifacts import download_artifacts

    return download_artifacts(artifact_uri=uri, tracking_uri=store.uri)
