"""Pretrained checkpoints by name: a folder, or a name on the Hugging Face hub. Neither pickles nor code are fetched."""

import hashlib
import os
from pathlib import Path

FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Configuration, weights and tokenizer of a checkpoint."""


class CheckpointNotFoundError(Exception):
    """Says why, for a caller's own error to quote."""


def find_checkpoint(where: str) -> Path:
    """Folder of a checkpoint; a hub name is fetched or found cached.

    Raises:
        CheckpointNotFoundError: neither a folder nor the hub have it, or it is an adapter.
    """
    folder = _folder(where)
    if (folder / "adapter_config.json").is_file():  # transformers would load the checkpoint that is named there
        raise CheckpointNotFoundError("it holds an adapter (adapter_config.json); merge it into its checkpoint first")
    return folder


def _folder(where: str) -> Path:
    folder = Path(where).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or where.startswith((".", "~")):
        raise CheckpointNotFoundError(f"folder {folder} is not there")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(where, allow_patterns=list(FILES), ignore_patterns=["*/*"])
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise CheckpointNotFoundError(f"no such folder, and the hub does not give it ({reason})") from None
    return Path(found)


def digest_of_files(folder: Path) -> str:
    """sha256 over names and bytes of the configuration, tokenizer and weight files of a checkpoint."""
    total = hashlib.sha256()
    for path in sorted({p for pattern in FILES for p in folder.glob(pattern)}):
        with path.open("rb") as file:
            total.update(f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def hub_note() -> str:
    """What to add to an error where the hub can't be asked."""
    return " The hub is switched off here by HF_HUB_OFFLINE." if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
