"""Language models behind one protocol: any OpenAI-compatible endpoint or the bundled offline reasoner, an answer cache
on disk and a cost ledger. Knows nothing of items, users or agents' prompts; the offline reasoner reads both from the
messages, as any other model would.
"""

from reaseq.llm.cache import AnswerCache, CachedChatModel
from reaseq.llm.chat import AnswerSchema, ChatAnswer, ChatModel, ChatRequest, Decoding, Message
from reaseq.llm.connect import connect
from reaseq.llm.errors import LlmError, RequestRefused
from reaseq.llm.ledger import CostLedger

__all__ = [
    "AnswerCache",
    "AnswerSchema",
    "CachedChatModel",
    "ChatAnswer",
    "ChatModel",
    "ChatRequest",
    "CostLedger",
    "Decoding",
    "LlmError",
    "Message",
    "RequestRefused",
    "connect",
]
