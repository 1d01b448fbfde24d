"""Explicit reasoning about items (RER): several agents agree on structured knowledge of each item, offline and cached.

`catalogue` cleans the input (through `guard`), `prompts` and `answers` say what agents are asked and must answer,
`council` leads one item through them, `canonical` words the record, `stage` makes the artifact.
"""

from reaseq.knowledge.errors import KnowledgeError
from reaseq.knowledge.stage import check_llm, distill

__all__ = ["KnowledgeError", "check_llm", "distill"]
