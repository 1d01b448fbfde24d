"""Shape of the denoiser, in Hugging Face's terms, so that `from_pretrained` and `save_pretrained` work."""

from collections.abc import Sequence
from math import floor, log2
from typing import Any

from transformers import PretrainedConfig

from reaseq.config import Json
from reaseq.schema import VECTOR_DIM

GAP_BUCKETS = 26
"""0: nothing before this slot; 1 + ⌊log2(1 + minutes)⌋ otherwise, up to about 32 years."""
FUTURE_BUCKETS = 12
"""Recency buckets of slots after the last known behaviour, ⌊2·log2(distance)⌋; the others follow them."""


def recency_bucket_count(slots: int) -> int:
    """Number of buckets: those of the future, then ⌊2·log2(1 + rank)⌋ for ranks 0…slots-1."""
    return FUTURE_BUCKETS + 1 + floor(2 * log2(slots))


class ReaSeqDenoiserConfig(PretrainedConfig):
    """A bidirectional masked-diffusion transformer over slots of `levels` codes each.

    Args:
        levels, codebook_size: L and K of the item codes; each level has K codes and one [MASK].
        hidden_size, num_hidden_layers, num_attention_heads: d, depth and heads.
        intermediate_size: width of the SwiGLU; 0 takes 8/3·d, rounded up to a multiple of 16.
        max_slots: most slots of one sequence, masked ones included.
        dropout: in training, share of what attention and SwiGLU of a block put out that is zeroed.
        action_names: actions that it tells apart, those of the events it was fitted on; index 0 is added for others.
        posterior_temperature: what the logits of its posterior over items are divided by, see `calibration`.
        llm: configuration of the decoder LLM whose blocks it has, of its `hidden_size`, `num_hidden_layers` and
            `num_attention_heads`; None: blocks of its own.
        lora_rank: of the LLM's adapters; 0: it has none, and all of its weights learn.
        bfloat16: whether the LLM computes in bfloat16.
        embedding_norm: root mean square length that code embeddings start with.
    """

    model_type = "reaseq_denoiser"

    def __init__(
        self,
        levels: int = 4,
        codebook_size: int = 256,
        hidden_size: int = 256,
        num_hidden_layers: int = 4,
        num_attention_heads: int = 4,
        intermediate_size: int = 0,
        max_slots: int = 64,
        action_names: Sequence[str] = (),
        vector_size: int = VECTOR_DIM,
        gap_buckets: int = GAP_BUCKETS,
        rms_norm_eps: float = 1e-6,
        dropout: float = 0.0,
        posterior_temperature: float = 1.0,
        llm: Json | None = None,
        lora_rank: int = 0,
        bfloat16: bool = False,
        embedding_norm: float = 1.0,
        **kwargs: Any,
    ):
        self.levels = levels
        self.codebook_size = codebook_size
        self.hidden_size = hidden_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.intermediate_size = intermediate_size or -(-hidden_size * 8 // 3 // 16) * 16
        self.max_slots = max_slots
        self.action_names = list(action_names)
        self.vector_size = vector_size
        self.gap_buckets = gap_buckets
        self.rms_norm_eps = rms_norm_eps
        self.dropout = dropout
        self.posterior_temperature = posterior_temperature
        self.llm = llm
        self.lora_rank = lora_rank
        self.bfloat16 = bfloat16
        self.embedding_norm = embedding_norm
        super().__init__(**kwargs)

    def to_dict(self) -> Json:
        """Without what is said of an LLM where there is none, as such a model was always saved."""
        whole: Json = super().to_dict()
        if self.llm is None:
            for name in ("llm", "lora_rank", "bfloat16", "embedding_norm"):
                whole.pop(name, None)
        return whole

    @property
    def mask_code(self) -> int:
        """The code that stands for [MASK] on every level."""
        return self.codebook_size

    @property
    def recency_buckets(self) -> int:
        return recency_bucket_count(self.max_slots)
