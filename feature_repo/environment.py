"""A feature store's settings: one feature_store.yaml per environment, filled in for a folder."""

import os
import re
from pathlib import Path

from reaseq.artifacts import write_text
from reaseq.platform.errors import FeatureStoreError

ENVIRONMENTS = Path(__file__).parent / "environments"
SETTINGS = "feature_store.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def prepare(folder: Path, environment: str = "local") -> None:
    """Put the environment's feature_store.yaml into a folder.

    `${FEAST_FOLDER}` becomes the folder. Other variables must be set, and stay variables in the file, because they may
    hold secrets; Feast reads them from the environment.

    Raises:
        FeatureStoreError: the environment is unknown, or a variable that it needs is not set.
    """
    template = ENVIRONMENTS / environment / SETTINGS
    if not template.is_file():
        known = ", ".join(sorted(path.parent.name for path in ENVIRONMENTS.glob(f"*/{SETTINGS}")))
        raise FeatureStoreError(f"feature store environment {environment!r} is unknown; choose one of: {known}.")
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    text = template.read_text().replace("${FEAST_FOLDER}", str(folder))
    settings = "\n".join(line.partition("#")[0] for line in text.splitlines())
    missing = sorted({name for name in _VARIABLE.findall(settings) if name not in os.environ})
    if missing:
        raise FeatureStoreError(f"feature store environment {environment!r} needs {', '.join(missing)} to be set.")
    write_text(folder / SETTINGS, text)
