"""One frozen configuration tree; every number of a run comes from here.

`load("small", seed=7, overrides={"behavior.reverse_steps": 8})` gives a complete `RunConfig`. A preset names a machine;
what it sets stands in `reaseq.presets`:

    tiny   seconds on a laptop; tests and the demo
    small  real public data on 2 cores within the hour
    base   one GPU; the defaults below
    large  several GPUs

A preset is a set of overrides over the defaults below, and the defaults are those of `base`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from reaseq.errors import ConfigError
from reaseq.presets import PRESETS
from reaseq.schema import VECTOR_DIM

Json = dict[str, Any]
NegativeSampling = Literal["contemporary", "uniform"]


class Section(BaseModel):
    """Base of every part of the tree: frozen, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    later: ClassVar[tuple[str, ...]] = ()
    """Fields that came when artifacts were there already. Where one has its default it is left out of the JSON, so that
    keys of artifacts stay what they were without it."""

    @model_serializer(mode="wrap")
    def _keyed_as_before(self, serialize: SerializerFunctionWrapHandler) -> Json:
        whole: Json = serialize(self)
        fields = type(self).model_fields
        return {name: value for name, value in whole.items() if name not in self.later or value != fields[name].default}


class SyntheticConfig(Section):
    """Size of the synthetic retail world; its process is documented in `reaseq.data.synthetic`."""

    users: int = Field(20_000, ge=20)
    items: int = Field(10_000, ge=60)
    days: int = Field(120, ge=20)
    events_per_user: float = Field(40.0, gt=0)
    """Mean number of behaviours a user has in life, logged or not."""
    new_item_share: float = Field(0.15, ge=0, lt=1)
    """Share of the catalogue that first appears in the test period."""


class DataConfig(Section):
    dataset: str = "synthetic"
    """`synthetic`, `amazon-beauty`, `ml-100k`, `amazon-reviews`, `movielens` or `files`."""
    source: str = ""
    """Folder with the raw files; unused by `synthetic`."""
    impressions: str = ""
    """File of impressions (user_id, item_id, timestamp, label, split) in place of the source's own or of built ones."""
    columns: dict[str, str] = {}
    """Our column name → the source's, for `files` (and to override a named dataset's own mapping)."""
    split: Literal["time", "leave_one_out"] = "time"
    valid_share: float = Field(0.1, gt=0, lt=0.5)
    test_share: float = Field(0.1, gt=0, lt=0.5)
    valid_start: str = ""
    """ISO date of the first validation event; empty: by share of events."""
    test_start: str = ""
    bad_rows: Literal["quarantine", "refuse"] = "quarantine"
    bad_rows_limit: float = Field(0.05, ge=0, le=1)
    """Ingestion refuses a source of which more than this share of rows is bad."""
    positive_rating: float = 4.0
    """Where the source rates, a rating of at least this counts as a behaviour and as label 1."""
    negatives: int = Field(4, ge=1)
    """Sampled negatives per positive where the source brings no impressions."""
    negative_sampling: NegativeSampling = "contemporary"
    """Where they are drawn from: `contemporary`, what others took at about that time, so that popularity says nothing;
    or `uniform`, the whole catalogue, for a ranker that is to order all of it."""
    timestamp_unit: Literal["auto", "s", "ms", "us", "ns"] = "auto"
    """Unit of numeric times, for `files`; `auto` decides by the median of the column. Named datasets know theirs."""
    synthetic: SyntheticConfig = SyntheticConfig()


class LlmConfig(Section):
    """Where the agents' answers come from; the API key is read from the environment variable named here, never kept."""

    backend: Literal["offline", "openai"] = "offline"
    base_url: str = "http://127.0.0.1:8000/v1"
    model: str = "reaseq-offline-reasoner"
    api_key_env: str = "REASEQ_LLM_API_KEY"
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(1024, ge=16)
    concurrency: int = Field(16, ge=1)
    timeout_s: float = Field(60.0, gt=0)
    retries: int = Field(4, ge=0)
    """Of one request, on rate limits, time-outs and 5xx."""


class KnowledgeConfig(Section):
    prompt_version: str = "1"
    description_tokens: int = Field(512, ge=0)
    co_bought: int = Field(5, ge=0)
    text_tokens: int = Field(96, ge=1)
    attempts: int = Field(2, ge=1)
    """Answers asked of one agent before the item falls back to its title."""
    critic: bool = True


class RepresentationConfig(Section):
    later: ClassVar[tuple[str, ...]] = ("title_dim",)

    encoder: str = "minilm"
    """`minilm` (packaged weights), `hf:<name or folder>` (any Hugging Face encoder) or `tfidf` (TF-IDF + SVD)."""
    encoder_batch: int = Field(64, ge=1)
    max_length: int = Field(128, ge=1)
    """Tokens per text that the encoder reads."""
    title_dim: int = Field(0, ge=0, lt=VECTOR_DIM)
    """Of z's 128 values, those that say what the title says; the others say what was learned. 0: all were learned."""
    align_steps: int = Field(2000, ge=0)
    align_batch: int = Field(2048, ge=2)
    align_lr: float = Field(1e-3, gt=0)
    window_days: float = Field(30.0, gt=0)
    """Two behaviours of a user at most this far apart make a positive pair."""
    checkpoint_steps: int = Field(100, ge=1)
    """Alignment steps between two checkpoints; what a killed run can lose."""
    levels: int = Field(4, ge=1)
    codebook_size: int = Field(256, ge=2, le=2**15)


SCRATCH = "scratch"
_OF_AN_LLM = ("backbone", "lora_rank", "bfloat16")


class BehaviorConfig(Section):
    later: ClassVar[tuple[str, ...]] = (*_OF_AN_LLM, "gradient_checkpointing", "shard_weights", "exact_items")
    of_inference: ClassVar[frozenset[str]] = frozenset(
        {
            *("snapshots", "reverse_steps", "cache_refresh", "guidance", "temperature", "infer_batch", "exact_items"),
            *("mmr_lambda", "new_category_share", "consistency_percentile", "min_events"),
        }
    )
    """Fields that fitting does not read: what was fitted outlives a change of them."""

    backbone: str = Field(SCRATCH, pattern=r"^(scratch|hf:.+)$")
    """The denoiser's blocks: `scratch`, or `hf:<name or folder>`, those of a pretrained decoder LLM (docs/denoiser.md);
    the LLM's own width, layers and heads then count, and not those set here."""
    lora_rank: int = Field(0, ge=0)
    """Rank of the LLM's adapters, which alone learn; 0 lets all of its weights learn."""
    bfloat16: bool = False
    """Whether the LLM computes in bfloat16; what learns is kept in float32."""
    gradient_checkpointing: bool = False
    """Whether fitting computes each block twice in order to store less: about a third slower."""
    shard_weights: bool = False
    """Whether processes that fit together hold a part of each block's weights only, and fetch the rest when it is its
    turn; for LLMs that don't fit one device."""
    d_model: int = Field(256, ge=1)
    layers: int = Field(4, ge=1)
    heads: int = Field(4, ge=1)
    max_slots: int = Field(50, ge=1)
    epochs: int = Field(20, ge=1)
    batch_slots: int = Field(4096, ge=1)
    """Slots per batch; sequences of similar length are batched together."""
    lr: float = Field(1e-3, gt=0)
    dropout: float = Field(0.2, ge=0, lt=1)
    weight_floor: float = Field(0.1, gt=0, le=1)
    latent_weight: float = Field(0.5, ge=0)
    history_drop: float = Field(0.1, ge=0, le=1)
    longest_suffix: int = Field(14, ge=1)
    """Most behaviours that training masks at the end of a history. Inference puts slots there by the dozen: a denoiser
    that never met so many at once reads a history pushed back behind them badly."""
    fit_share: float = Field(0.6, gt=0, le=1)
    """The denoiser learns from this earliest share of the training events only; snapshots start where it ends, so that
    no inference the ranker learns from was fitted on the impression it accompanies."""
    refit_epochs: int = Field(10, ge=0)
    """Epochs in which the denoiser learns on from all training events, for the snapshots at the start of validation and
    test alone, as a shop would fit it anew before it serves. 0: those, too, come from the one fitted before the cut."""
    snapshots: int = Field(4, ge=1)
    """Snapshots in the training period; one more stands at the start of validation and one at the start of test."""
    inferred: int = Field(10, ge=1)
    spare_slots: int = Field(4, ge=0)
    reverse_steps: int = Field(8, ge=1)
    cache_refresh: int = Field(1, ge=1)
    """Reverse steps from one that computes the whole sequence to the next; between them keys and values of the history
    are kept. 1 computes everything at every step and is exact."""
    guidance: float = Field(1.0, ge=0)
    """w of classifier-free guidance; 0 does without the unconditional branch and halves the cost."""
    temperature: float = Field(0.5, ge=0)
    """Of the noise on each choice of a code; 0 takes the most probable one, so that like slots are filled in alike."""
    infer_batch: int = Field(256, ge=1)
    exact_items: int = Field(200_000, ge=0)
    """Largest catalogue of which every item is looked at for each slot; a larger one is searched by an index, which
    finds nearly the same items (docs/behaviors.md)."""
    mmr_lambda: float = Field(0.7, ge=0, le=1)
    new_category_share: float = Field(0.5, ge=0, le=1)
    """Of the inferred behaviours, the share, in whole ones, that is kept for categories which the user's log lacks."""
    consistency_percentile: float = Field(5.0, ge=0, le=100)
    min_events: int = Field(2, ge=0)
    """Users with fewer events before the snapshot get no inferences."""

    @model_validator(mode="after")
    def _of_an_llm(self) -> Self:
        for name in _OF_AN_LLM[1:]:
            if self.backbone == SCRATCH and getattr(self, name):
                raise ValueError(f"{name} is for the LLM of behavior.backbone=hf:…, and it is {SCRATCH!r}")
        return self

    @model_validator(mode="after")
    def _width_by_heads(self) -> Self:
        if self.backbone == SCRATCH and self.d_model % self.heads:
            raise ValueError(f"d_model is {self.d_model}, no multiple of heads, which is {self.heads}; change one")
        return self


class RefreshConfig(Section):
    """Near-line refresh of inferred behaviours, between two runs: whose are inferred again, and whose are not."""

    events: int = Field(5, ge=1)
    """New events since a user's last inference that call for another: a tenth of the history that a denoiser reads."""
    older_than_days: float = Field(7.0, gt=0)
    """Age at which an inference is made again without new events: by then the slots that stood at and after its
    snapshot lie in the past, and items are popular that it did not know."""
    min_events: int = Field(3, ge=1)
    """Users with fewer events before the snapshot get none: so short a history says too little to infer from."""


class RankingConfig(Section):
    id_dim: int = Field(32, ge=1)
    content_dim: int = Field(64, ge=1)
    """Width of what an item is besides its id: P·z + code embeddings + category."""
    attention_dim: int = Field(64, ge=1)
    similarity_temperature: float = Field(0.1, gt=0)
    """τ of the similarity term in attention logits."""
    short_history: int = Field(50, ge=1)
    long_history: int = Field(1000, ge=1)
    long_top: int = Field(50, ge=1)
    hidden: tuple[PositiveInt, ...] = Field((256, 128, 64), min_length=1)
    batch: int = Field(1024, ge=1)
    """Impressions per step, at most."""
    least_steps: int = Field(300, ge=1)
    """Of an epoch: a short log is cut into smaller batches, so that one pass over it is enough to learn from."""
    epochs: int = Field(1, ge=1)
    fresh_ids: bool = True
    """Whether id embeddings start anew with each epoch (MEDA); the rest of the network goes on learning."""
    lr_dense: float = Field(2e-4, gt=0)
    lr_final: float = Field(1.0, gt=0, le=1)
    """Share of `lr_dense` that is left at the end of training; it falls linearly from 1."""
    lr_sparse: float = Field(2e-3, gt=0)
    id_dropout: float = Field(0.15, ge=0, lt=1)
    click_rates: Literal["auto", "on", "off"] = "auto"
    """Whether an item's click rate is an input. `auto`: unless negatives are sampled, one positive to a fixed number of
    them, since then the rate tells how sampling went and not what people like."""
    gate_bias: float = -2.0
    lag_hours: float = Field(0.0, ge=0)
    """An impression sees only inferences from a snapshot at least this much older."""
    checkpoint_steps: int = Field(200, ge=1)
    golden_requests: int = Field(16, ge=1)
    golden_candidates: int = Field(100, ge=1)

    @model_validator(mode="after")
    def _short_within_long(self) -> Self:
        if self.long_history < self.short_history:
            raise ValueError(
                f"long_history is {self.long_history} and short_history {self.short_history}: the long history begins "
                "with the short one and can't be shorter"
            )
        return self


class BaselineConfig(Section):
    """DIN and its kin, the click-through baselines."""

    d: int = Field(32, ge=1)
    """Width of an item's input."""
    hidden: tuple[PositiveInt, ...] = (200, 80)
    attention: int = Field(36, ge=1)
    """Hidden units of DIN's activation unit."""
    experts: int = Field(2, ge=1)
    """KAR: shared experts, and as many dedicated to items and to users each."""
    init: float = Field(0.05, gt=0)
    """Standard deviation of fresh id embeddings."""
    history: int = Field(50, ge=1)
    batch: int = Field(1024, ge=1)
    epochs: int = Field(1, ge=1)
    """Of training without validation."""
    most_epochs: int = Field(8, ge=1)
    """Of training that ends when validation AUC no longer rises (`fit_best`); title vectors learn for six or so."""
    lr_dense: float = Field(1e-3, gt=0)
    lr_sparse: float = Field(1e-3, gt=0)
    id_dropout: float = Field(0.0, ge=0, lt=1)


class SequentialConfig(Section):
    """SASRec, the sequential baseline of full-ranking tables."""

    d_model: int = Field(64, ge=2)
    layers: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)
    history: int = Field(50, ge=1)
    """Last behaviours of a user that the model reads."""
    dropout: float = Field(0.5, ge=0, lt=1)
    temperature: float = Field(0.0, ge=0)
    """τ of cosine scores, cos(h, e) / τ; 0 scores by dot product, as published."""
    batch_positions: int = Field(2048, ge=2)
    """Training positions per step; rows of similar length are batched together."""
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    epochs: int = Field(100, ge=1)
    patience: int = Field(5, ge=1)
    """Epochs without a better validation NDCG@10 after which training stops."""
    bfloat16: bool = False
    """Logits of the loss in bfloat16; scores and ranks are always in float32."""


class EvaluationConfig(Section):
    ks: tuple[PositiveInt, ...] = Field((10, 50), min_length=1)
    ranked_users: int = Field(500, ge=0)
    """Users whose test positives are ranked against the whole catalogue; 0 means all."""
    bootstrap: int = Field(1000, ge=0)
    gate_ece: float = Field(0.05, gt=0)
    """The promotion gate holds a ranker whose expected calibration error is larger."""
    gate_click_ratio: tuple[float, float] = (0.8, 1.25)
    """… or whose predicted clicks, divided by those observed, lie outside these bounds."""

    @model_validator(mode="after")
    def _ratios_in_order(self) -> Self:
        low, high = self.gate_click_ratio
        if not 0 <= low <= high:
            raise ValueError(
                f"gate_click_ratio is {low}, {high}: give the lower bound, 0 or more, and then the upper one"
            )
        return self


class PlatformConfig(Section):
    experiment: str = "reaseq"
    model_name: str = "reaseq-ranker"


class RunConfig(Section):
    preset: str
    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1)
    """CPU threads of torch and faiss; part of the configuration, since sums depend on how they are split."""
    device: Literal["cpu", "cuda"] = "cpu"
    data: DataConfig = DataConfig()
    llm: LlmConfig = LlmConfig()
    knowledge: KnowledgeConfig = KnowledgeConfig()
    representation: RepresentationConfig = RepresentationConfig()
    behavior: BehaviorConfig = BehaviorConfig()
    refresh: RefreshConfig = RefreshConfig()
    ranking: RankingConfig = RankingConfig()
    sequential: SequentialConfig = SequentialConfig()
    baselines: BaselineConfig = BaselineConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    platform: PlatformConfig = PlatformConfig()

    def part(self, *sections: str) -> Json:
        """The JSON of the named sections, with what every stage depends on: what an artifact's key is made of."""
        whole = self.model_dump(mode="json")
        return {name: whole[name] for name in ("seed", "threads", *sections)}

    @property
    def digest(self) -> str:
        return digest(self.model_dump(mode="json"))


def load(preset: str, *, seed: int = 0, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """The configuration of a run.

    Args:
        preset: one of `PRESETS`.
        seed: of every random draw in the run.
        overrides: dotted names to values, such as `{"behavior.layers": 6}`; they win over the preset.

    Raises:
        ConfigError: the preset or a name is unknown, or a value is of the wrong type or out of range.
    """
    if preset not in PRESETS:
        raise ConfigError(f"preset {preset!r} is unknown; choose one of: {', '.join(PRESETS)}.")
    tree: Json = json.loads(json.dumps(PRESETS[preset])) | {"preset": preset, "seed": seed}
    for name, value in (overrides or {}).items():
        *parents, leaf = name.split(".")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"setting {name!r} is unknown: {parent!r} has no parts.")
        place[leaf] = value
    try:
        return RunConfig.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'][0].lower()}{e['msg'][1:]}" for e in error.errors()
        )
        raise ConfigError(
            f"configuration refused: {problems}. Every setting stands in reaseq/config.py; "
            "override one with --set section.name=value."
        ) from None


def digest(value: Any) -> str:
    """sha256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def with_defaults(tree: Json) -> Json:
    """The JSON of a `RunConfig`, with what it leaves out because it came later and has its default."""
    whole = dict(tree)
    for name, field in RunConfig.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section) and name in tree:
            whole[name] = {each: kind.model_fields[each].default for each in kind.later} | tree[name]
    return whole
