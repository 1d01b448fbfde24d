"""From the configuration to a chat model."""

import os
from collections.abc import Callable

from reaseq.config import LlmConfig
from reaseq.llm.chat import ChatModel


def connect(config: LlmConfig, on_retry: Callable[[], None] = lambda: None) -> ChatModel:
    """The chat model that `llm.backend` names; nothing is asked of it yet.

    Raises:
        LlmError: `llm.base_url` is no URL, or the bundled ontology can't be read.
    """
    # Imported here: one loads the ontology, the other the HTTP client, and a run needs only one of them.
    if config.backend == "offline":
        from reaseq.llm.offline import OfflineReasoner

        return OfflineReasoner()
    from reaseq.llm.openai_endpoint import OpenAiEndpoint

    return OpenAiEndpoint(
        config.base_url,
        config.model,
        api_key=os.environ.get(config.api_key_env, ""),
        api_key_env=config.api_key_env,
        timeout_s=config.timeout_s,
        retries=config.retries,
        on_retry=on_retry,
    )
