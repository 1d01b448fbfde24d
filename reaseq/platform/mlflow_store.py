"""Where MLflow keeps things, and the client that reaches it.

By default a folder: `mlflow.db` (sqlite: runs and registry) and `mlflow-artifacts/`. Where `MLFLOW_TRACKING_URI` is
set, as Kubeflow Pipelines does from 2.17 on, that server is used and the folder is not touched.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reaseq.platform.errors import PlatformError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else `mlflow server` starts 2.3 GB of workers
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output belongs to the command line
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # the default waits minutes for a server that is not there
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Environment that MLflow is run with; what the caller has set already wins."""

_CREDENTIALS = re.compile(r"(?<=//)[^/@\s]+@")


@dataclass(frozen=True)
class MlflowStore:
    """A tracking store and its registry.

    Attributes:
        uri: tracking URI.
        artifacts: where a new experiment keeps its artifacts; None leaves that to the server. MLflow's own default for
            sqlite is `./mlruns` of whichever process comes first.
    """

    uri: str
    artifacts: str | None

    def client(self) -> "MlflowClient":
        """A client; makes the database on first use."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        from mlflow import MlflowClient

        if self.artifacts is None:  # the REST client imports Feast through an entry point; let it be the lean one
            import reaseq.platform.feast_api  # noqa: F401

        with translated(PlatformError, self.uri):
            return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def experiment(self, client: "MlflowClient", name: str) -> str:
        """Id of the experiment, made if it is not there."""
        found = client.get_experiment_by_name(name)
        if found is None:
            return client.create_experiment(name, artifact_location=self.artifacts)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return found.experiment_id


def locate(folder: Path | str) -> MlflowStore:
    """The store that `MLFLOW_TRACKING_URI` names, else the one in `folder`."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return MlflowStore(uri, None) if uri else _in_folder(folder)


def _in_folder(folder: Path | str) -> MlflowStore:
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return MlflowStore(f"sqlite:///{folder / 'mlflow.db'}", (folder / "mlflow-artifacts").as_uri())


def ui_command(folder: Path | str, port: int = 5000) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment that start MLflow's UI over the store in `folder`, on loopback, with one worker."""
    store = _in_folder(folder)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store.uri]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", str(store.artifacts)]
    return command, {**SETTINGS, **os.environ}


@contextmanager
def translated(error: type[PlatformError], uri: str) -> Iterator[None]:
    """Turn MLflow's own exceptions, and those of its database, into one of ours that names the store."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
        raise error(
            f"MLflow at {_public(uri)} failed: {_public(reason)}. Check MLFLOW_TRACKING_URI (unset it to use the "
            "local store) and that its database and artifact folder can be written; what the run made is kept."
        ) from problem


def _public(text: str) -> str:
    """The text without the user names and passwords of its URLs."""
    return _CREDENTIALS.sub("***@", text)
