"""A real OpenAI-compatible endpoint in miniature: a randomly initialised Qwen2 and a BPE tokenizer trained on the spot,
decoded greedily under a JSON-schema grammar (xgrammar). What it says is nonsense; its form is exact.

    python -m tests.llm.tiny_endpoint PORT
"""

import json
import sys
import threading
import time
from typing import Any

import torch
import uvicorn
import xgrammar
from fastapi import FastAPI
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from reaseq.knowledge.prompts import PROMPTS
from tests.llm.endpoints import TINY_MODEL


class TinyModel:
    """Greedy decoding under a grammar; one request at a time."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        torch.set_num_threads(1)
        self.tokenizer = _train_tokenizer()
        size = len(self.tokenizer)
        config = Qwen2Config(
            vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=8192,
        )  # fmt: skip
        self.model = Qwen2ForCausalLM(config).eval()
        info = xgrammar.TokenizerInfo.from_huggingface(self.tokenizer, vocab_size=size)
        self.compiler = xgrammar.GrammarCompiler(info, max_threads=1)
        self.lock = threading.Lock()
        # Random weights never choose to end a string; a push towards quotes keeps answers short.
        self.push = torch.tensor(
            [3.0 if '"' in t else 0.0 for t in self.tokenizer.convert_ids_to_tokens(list(range(size)))]
        )

    @torch.inference_mode()
    def answer(self, prompt: str, schema: dict[str, Any], max_tokens: int) -> tuple[str, int, int, str]:
        with self.lock:
            ids = self.tokenizer(prompt, return_tensors="pt").input_ids[:, -512:]
            grammar = self.compiler.compile_json_schema(json.dumps(schema), any_whitespace=False)
            matcher = xgrammar.GrammarMatcher(grammar)
            mask = xgrammar.allocate_token_bitmask(1, len(self.tokenizer))
            said: list[int] = []
            step, past = ids, None
            while len(said) < max_tokens:
                out = self.model(step, past_key_values=past, use_cache=True)
                past, scores = out.past_key_values, out.logits[:, -1] + self.push
                matcher.fill_next_token_bitmask(mask)
                xgrammar.apply_token_bitmask_inplace(scores, mask)
                token = int(scores.argmax())
                if not matcher.accept_token(token) or matcher.is_terminated():
                    return str(self.tokenizer.decode(said)), ids.shape[1], len(said), "stop"
                said.append(token)
                step = torch.tensor([[token]])
            return str(self.tokenizer.decode(said)), ids.shape[1], len(said), "length"


def _train_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text for agents in PROMPTS.values() for text in agents.values()], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", clean_up_tokenization_spaces=False)


def build_app() -> FastAPI:
    app, tiny = FastAPI(), TinyModel()

    @app.get("/v1/models")
    def list_models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": TINY_MODEL, "object": "model", "created": 0, "owned_by": "tests"}]}

    @app.post("/v1/chat/completions")
    def complete(body: dict[str, Any]) -> dict[str, Any]:
        prompt = "\n".join(f"{m['role']}: {m['content']}" for m in body["messages"])
        schema = body["response_format"]["json_schema"]["schema"]
        text, asked, said, finish = tiny.answer(prompt, schema, body.get("max_tokens", 256))
        return {
            "id": "tiny", "object": "chat.completion", "created": int(time.time()), "model": body["model"],
            "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
        }  # fmt: skip

    return app


if __name__ == "__main__":
    uvicorn.run(build_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
