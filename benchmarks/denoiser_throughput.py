"""How many tokens a second does the denoiser learn from, beside a plain Hugging Face BertForMaskedLM of equal shape?

    python benchmarks/denoiser_throughput.py --dataset DIR --item-vectors DIR [--config FILE] [--out FILE]

Both learn from the same windows of the same users, on the same threads, in turns, so that a busy spell of the machine
meets both. BERT has the denoiser's layers, heads and widths, reads an item's codes as tokens of one vocabulary and is
trained by `transformers.Trainer` with its own collators: windows in random order, padded to the longest of their batch,
15 % of the tokens masked. A batch holds as many tokens on average as the denoiser's. Counted are tokens of behaviours:
padding is work and no token. The denoiser does more per token (a slot's buckets, a softmax over the catalogue for each
masked slot); what earns its pace is batches of nearly equal length and heads that read masked positions alone.

Needs two cores for some minutes, and `accelerate`, which Trainer wants.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from reaseq import config
from reaseq.artifacts import Artifact, open_artifact
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.stage import DENOISER, fresh_model
from reaseq.behavior.training import STAGE, Tables, fit
from reaseq.config import RunConfig
from reaseq.data import Dataset
from reaseq.determinism import deterministic_torch
from reaseq.representation import ItemVectors

FROZEN = Path(__file__).resolve().parent / "denoiser_throughput-2026-11-27.json"
PAD, MASK, SPECIAL = 0, 1, 2


class Unmeasured(Inpainting):
    """No recall is taken: training alone is timed."""

    def recall(self, model: ReaSeqDenoiser, k: int = 10) -> float:
        return 0.0


@dataclass(frozen=True)
class Ground:
    """What both learn from."""

    run: RunConfig
    data: Dataset
    vectors: ItemVectors
    corpus: Corpus

    @classmethod
    def of(cls, run: RunConfig, dataset: Artifact, item_vectors: Artifact) -> "Ground":
        data, vectors = Dataset.open(dataset), ItemVectors.open(item_vectors)
        log = data.log.only_train()
        return cls(run, data, vectors, Corpus.of(log, np.random.default_rng([run.seed, STAGE])))

    def fresh(self) -> ReaSeqDenoiser:
        return fresh_model(DENOISER, self.run, self.vectors, self.corpus.log.action_names)


def denoiser(ground: Ground, epochs: int) -> tuple[int, float]:
    """Tokens and seconds of training."""
    run, corpus, vectors = ground.run, ground.corpus, ground.vectors
    behavior = run.behavior.model_copy(update={"epochs": epochs})
    tables = Tables(vectors.codes, ground.data.category_index)
    catalogue = Catalogue.known_before(corpus.log.items, vectors.z, vectors.codes, ground.data.category_index)
    with deterministic_torch(run.threads, run.seed), tempfile.TemporaryDirectory(prefix="denoiser-") as scratch:
        model = ground.fresh()
        measure = Unmeasured(corpus, catalogue, vectors.codes, behavior.max_slots)
        started = time.perf_counter()
        state = fit(model, corpus, measure, tables, behavior, seed=run.seed, scratch=Path(scratch))
        return state.slots * vectors.codes.shape[1], time.perf_counter() - started


def bert(ground: Ground, epochs: int) -> tuple[int, float]:
    """The same of BertForMaskedLM under Trainer."""
    run, corpus, shape = ground.run, ground.corpus, ground.fresh().config
    starts, ends = corpus.windows(run.behavior.max_slots, np.random.default_rng([run.seed, STAGE, 0]))
    first = SPECIAL + np.arange(shape.levels) * shape.codebook_size
    tokens = [
        {"input_ids": (ground.vectors.codes[corpus.log.items[start:end]] + first).ravel().tolist()}
        for start, end in zip(starts, ends, strict=True)
    ]
    total = sum(len(row["input_ids"]) for row in tokens)
    torch.set_num_threads(run.threads)
    torch.manual_seed(run.seed)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=SPECIAL + shape.levels * shape.codebook_size,
            hidden_size=shape.hidden_size,
            num_hidden_layers=shape.num_hidden_layers,
            num_attention_heads=shape.num_attention_heads,
            intermediate_size=shape.intermediate_size,
            max_position_embeddings=shape.levels * run.behavior.max_slots,
            hidden_dropout_prob=run.behavior.dropout,
            attention_probs_dropout_prob=run.behavior.dropout,
            pad_token_id=PAD,
        )
    )
    with tempfile.TemporaryDirectory(prefix="bert-") as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=max(1, round(run.behavior.batch_slots * shape.levels * len(tokens) / total)),
            learning_rate=run.behavior.lr,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            seed=run.seed,
        )
        collator = DataCollatorForLanguageModeling(tokenizer(shape), mlm_probability=0.15)
        trainer = Trainer(model=model, args=arguments, data_collator=collator, train_dataset=tokens)  # type: ignore[arg-type]
        started = time.perf_counter()
        trainer.train()
        return total * epochs, time.perf_counter() - started


def tokenizer(shape: ReaSeqDenoiserConfig) -> PreTrainedTokenizerFast:
    """Knows one word for each code; the collator asks it for padding and masks."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    words = {"[PAD]": PAD, "[MASK]": MASK} | {
        f"{level}-{code}": SPECIAL + level * shape.codebook_size + code
        for level in range(shape.levels)
        for code in range(shape.codebook_size)
    }
    known = Tokenizer(WordLevel(words, "[MASK]"))
    return PreTrainedTokenizerFast(tokenizer_object=known, **{"pad_token": "[PAD]", "mask_token": "[MASK]"})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--item-vectors", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=FROZEN, help="another configuration, for a trial")
    parser.add_argument("--out", type=Path, default=Path("runs/denoiser_throughput.json"))
    chosen = parser.parse_args()
    frozen = json.loads(chosen.config.read_text())
    run = config.load(frozen["preset"], overrides={"threads": frozen["threads"]})
    kinds = ("dataset", "item_vectors")
    ground = Ground.of(run, *(open_artifact(getattr(chosen, kind), kind) for kind in kinds))
    pace: dict[str, list[float]] = {"denoiser": [], "BertForMaskedLM": []}
    for turn in range(frozen["turns"]):
        for name, train in (("denoiser", denoiser), ("BertForMaskedLM", bert)):
            tokens, seconds = train(ground, frozen["epochs"])
            pace[name].append(tokens / seconds)
            print(f"turn {turn + 1}: {name:16} {tokens:10,} tokens {seconds:8.1f} s {pace[name][-1]:10,.0f} tokens/s")
    ratios = [ours / theirs for ours, theirs in zip(*pace.values(), strict=True)]
    told: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "load": os.getloadavg()[0]},
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "config": frozen,
        "tokens a second": {name: [round(each) for each in of_turns] for name, of_turns in pace.items()},
        "times as fast, by turn": [round(ratio, 3) for ratio in ratios],
        "times as fast": round(statistics.median(ratios), 3),
    }
    print(json.dumps(told, indent=2))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(told, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
