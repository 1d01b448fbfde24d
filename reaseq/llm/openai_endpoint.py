"""Any OpenAI-compatible endpoint (vLLM, KServe, a hosted API) behind the ChatModel protocol.

Answers are asked as strict JSON-schema `response_format`. Rate limits, time-outs, broken connections, 5xx and bodies
that are no completion are tried again with exponential backoff and jitter, or after the time the server asks for.
"""

import json
import time
from collections.abc import Callable
from typing import Any, NoReturn

import openai
import tenacity
from openai.types.chat import ChatCompletion

from reaseq.llm.chat import ChatAnswer, ChatRequest, FinishReason
from reaseq.llm.errors import LlmError, RequestRefused

_FINISH: dict[str | None, FinishReason] = {"stop": "stop", "length": "length", "content_filter": "content_filter"}
_PATIENCE = 120.0  # seconds; the longest Retry-After that is honoured in full
_PREFLIGHT = 5.0  # seconds


class _NoCompletion(Exception):
    """The endpoint said 200 and sent something that is no chat completion."""


def _passing(error: BaseException) -> bool:
    """Whether a failure may be gone the next time. Time-outs are connection errors of the client."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code in (408, 409, 429) or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError | _NoCompletion)


class OpenAiEndpoint:
    """A chat model over HTTP; safe to call from many threads.

    Args:
        base_url: of the API, with its `/v1`.
        model: name the endpoint serves.
        api_key: sent as a bearer token and shown nowhere; empty for endpoints that want none.
        api_key_env: where the key came from, for messages.
        timeout_s: of one request.
        retries: of one request after its first failure.
        on_retry: called before each retry.
        sleep: waits that many seconds; tests replace it.
    """

    backend = "openai"

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        api_key_env: str = "REASEQ_LLM_API_KEY",
        timeout_s: float = 60.0,
        retries: int = 4,
        on_retry: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.base_url = base_url
        self.model = model
        self.retries = retries
        self._key = api_key
        self._key_env = api_key_env
        self._timeout = timeout_s
        self._on_retry = on_retry
        self._sleep = sleep
        try:
            self._client = openai.OpenAI(base_url=base_url, api_key=api_key or "none", timeout=timeout_s, max_retries=0)
        except Exception as error:  # the client raises whatever its URL parser raises
            raise LlmError(
                f"llm.base_url {base_url!r} is no URL ({error}); it looks like http://host:8000/v1."
            ) from None

    @property
    def identity(self) -> str:
        return f"openai:{self.model}"

    def check(self) -> None:
        """Ask for the list of models; an endpoint without one (404) passes."""
        try:
            served = [m.id for m in self._client.with_options(timeout=min(_PREFLIGHT, self._timeout)).models.list()]
        except openai.NotFoundError:
            return
        except openai.APIError as error:
            self._fail(error, 1)
        except (AttributeError, TypeError, ValueError):
            return  # a gateway that answers /models with something of its own; `complete` will tell
        if served and self.model not in served:
            raise LlmError(
                f"llm.model {self.model!r} is not served at llm.base_url {self.base_url}; it serves "
                f"{', '.join(served[:5])}. Set llm.model to one of them."
            )

    def complete(self, request: ChatRequest) -> ChatAnswer:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.retries + 1),
            wait=_wait,
            retry=tenacity.retry_if_exception(_passing),
            sleep=self._sleep,
            before_sleep=lambda state: self._on_retry(),
            reraise=True,
        )
        try:
            return retrying(self._ask, request)
        except (openai.APIError, _NoCompletion) as error:
            self._fail(error, retrying.statistics.get("attempt_number", 1))

    def _ask(self, request: ChatRequest) -> ChatAnswer:
        messages: Any = [{"role": m.role, "content": m.content} for m in request.messages]
        form: Any = {
            "type": "json_schema",
            "json_schema": {"name": request.answer.name, "schema": request.answer.schema, "strict": True},
        }
        try:
            done = self._client.chat.completions.create(
                model=self.model,
                messages=messages,
                response_format=form,
                temperature=request.decoding.temperature,
                max_tokens=request.decoding.max_tokens,
            )
        except (openai.APIResponseValidationError, json.JSONDecodeError, UnicodeDecodeError):
            raise _NoCompletion from None
        if not isinstance(done, ChatCompletion) or not done.choices or done.choices[0].message is None:
            raise _NoCompletion
        choice = done.choices[0]
        usage = done.usage
        return ChatAnswer(
            text=choice.message.content or "",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            finish_reason=_FINISH.get(choice.finish_reason, "other"),
            model=self.model,
        )

    def _fail(self, error: Exception, attempts: int) -> NoReturn:
        """Raise what the error means to a person. Bodies of refusals may echo the key, so they are not shown."""
        where = f"llm.base_url {self.base_url}"
        tried = f" after {attempts} attempts" if attempts > 1 else ""
        kept = "Answers that arrived are kept; start again to go on."
        match error:
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                state = "was refused" if self._key else "is not set"
                raise LlmError(
                    f"{where} answered {error.status_code}: the API key in environment variable {self._key_env} "
                    f"{state}. Export a valid key as {self._key_env}, or name another variable in llm.api_key_env."
                ) from None
            case openai.NotFoundError():
                raise LlmError(
                    f"{where} answered 404 for model {self.model!r}. Check that the URL ends in /v1 and that llm.model "
                    "is a name the endpoint serves."
                ) from None
            case openai.RateLimitError():
                raise LlmError(f"{where} keeps limiting the rate (429){tried}. Lower llm.concurrency. {kept}") from None
            case openai.APITimeoutError():
                raise LlmError(
                    f"{where} gave no answer within llm.timeout_s ({self._timeout:g} s){tried}. Raise llm.timeout_s or "
                    f"lower llm.concurrency. {kept}"
                ) from None
            case openai.APIConnectionError():
                raise LlmError(
                    f"{where} can't be reached{tried}. Start the endpoint or correct llm.base_url; llm.backend=offline "
                    f"needs none. {kept}"
                ) from None
            case openai.APIStatusError() if _passing(error):
                raise LlmError(f"{where} answered {error.status_code}{tried}. See the endpoint's log. {kept}") from None
            case openai.APIStatusError():
                raise RequestRefused(f"{where} refused a request with status {error.status_code}.") from None
            case _NoCompletion():
                raise LlmError(
                    f"{where} answered 200 with something that is no chat completion{tried}. Check that llm.base_url "
                    f"is an OpenAI-compatible API. {kept}"
                ) from None
        raise error


_backoff = tenacity.wait_random_exponential(multiplier=0.5, max=20)


def _wait(state: tenacity.RetryCallState) -> float:
    """Seconds to wait: what the server asks for, else exponential with full jitter."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, openai.APIStatusError):
        try:
            asked = float(error.response.headers.get("retry-after", ""))
        except ValueError:
            asked = 0.0
        if asked > 0:
            return min(asked, _PATIENCE)
    return float(_backoff(state))
