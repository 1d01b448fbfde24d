"""The answer cache: one sqlite file, so that no answer is ever paid for twice.

An answer is committed the moment it arrives; a process killed at any instruction loses none that it had received. Only
for a backend that costs nothing may commits be batched. Several processes may share the file (WAL).
"""

import json
import sqlite3
import threading
import time
from pathlib import Path
from types import TracebackType

from reaseq.llm.chat import ChatAnswer, ChatModel, ChatRequest
from reaseq.llm.errors import LlmError, RequestRefused
from reaseq.llm.ledger import CostLedger

_LAYOUT = 1
_BATCH_SECONDS = 0.5


class AnswerCache:
    """Answers by key.

    Args:
        path: the sqlite file; made if missing.
        batch: answers per commit. 1 commits (and syncs) each; more also commits at least every half second of use.

    Raises:
        LlmError: the file is no cache of this layout, or damaged.
    """

    def __init__(self, path: Path, batch: int = 1):
        self.path = path
        self._batch = batch
        self._lock = threading.Lock()
        self._pending: dict[str, str] = {}
        self._committed = time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            # NORMAL survives a killed process; FULL also survives a power cut, at one fsync for each paid answer.
            self._db.execute(f"PRAGMA synchronous={'FULL' if batch == 1 else 'NORMAL'}")
            self._db.execute("CREATE TABLE IF NOT EXISTS answers(key BLOB PRIMARY KEY, answer TEXT NOT NULL)")
            layout = self._db.execute("PRAGMA user_version").fetchone()[0]
            if layout == 0:
                self._db.execute(f"PRAGMA user_version={_LAYOUT}")
            self._snapshot()
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        if layout not in (0, _LAYOUT):
            raise LlmError(f"answer cache {path} has layout {layout}, this version reads {_LAYOUT}; move it away.")

    def get(self, key: str) -> ChatAnswer | None:
        with self._lock:
            text = self._pending.get(key)
            if text is None:
                try:
                    row = self._db.execute("SELECT answer FROM answers WHERE key = ?", (bytes.fromhex(key),)).fetchone()
                except sqlite3.Error as error:
                    raise self._damaged(error) from None
                if row is None:
                    return None
                text = row[0]
        try:
            return ChatAnswer(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from None

    def put(self, key: str, answer: ChatAnswer) -> None:
        """Store an answer; the first one of a key stays."""
        with self._lock:
            self._pending.setdefault(key, json.dumps(vars(answer)))
            if len(self._pending) >= self._batch or time.monotonic() - self._committed > _BATCH_SECONDS:
                self._commit()

    def close(self) -> None:
        with self._lock:
            self._commit()
            if self._db.in_transaction:
                self._db.execute("COMMIT")
            self._db.close()

    def __enter__(self) -> "AnswerCache":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock:
            self._commit()
            return int(self._db.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _commit(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
            if self._pending:
                rows = [(bytes.fromhex(key), answer) for key, answer in self._pending.items()]
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", rows)
                self._db.execute("COMMIT")
                self._pending.clear()
            self._snapshot()
        except sqlite3.Error as error:
            raise self._damaged(error) from None
        self._committed = time.monotonic()

    def _snapshot(self) -> None:
        """Between batched commits all reads share one transaction: taking the file lock anew for each costs more than
        the look-up. What another process writes meanwhile is seen after the next commit, and is free to make again."""
        if self._batch > 1:
            self._db.execute("BEGIN")

    def _damaged(self, error: Exception) -> LlmError:
        return LlmError(
            f"answer cache {self.path} can't be used ({error}). Free disk space if it is full; otherwise move the file "
            "away, and answers will be asked anew."
        )


class CachedChatModel:
    """A chat model that asks nothing twice, not even from two threads at once."""

    def __init__(self, model: ChatModel, cache: AnswerCache, ledger: CostLedger):
        self.model = model
        self.cache = cache
        self.ledger = ledger
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}

    @property
    def backend(self) -> str:
        return self.model.backend

    @property
    def identity(self) -> str:
        return self.model.identity

    def check(self) -> None:
        self.model.check()

    def key(self, request: ChatRequest) -> str:
        return request.key(self.model.identity)

    def complete(self, request: ChatRequest) -> ChatAnswer:
        return self.complete_keyed(request)[1]

    def complete_keyed(self, request: ChatRequest) -> tuple[str, ChatAnswer]:
        """The cache key of a request, and its answer."""
        key = self.key(request)
        with self._lock:
            asking = self._asking.setdefault(key, threading.Lock())
        with asking:  # a second thread with the same question waits, and then finds the answer
            if (answer := self.cache.get(key)) is not None:
                self.ledger.hit()
                return key, answer
            started = time.perf_counter()
            try:
                answer = self.model.complete(request)
            except RequestRefused:
                self.ledger.refuse()
                raise
            self.cache.put(key, answer)
            self.ledger.called(answer, time.perf_counter() - started)
        with self._lock:
            self._asking.pop(key, None)
        return key, answer
