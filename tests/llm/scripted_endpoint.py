"""An OpenAI-compatible HTTP server that a test directs: it counts, fails on demand, holds answers back, and otherwise
answers what the offline reasoner would, so that what it says makes sense.
"""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from reaseq.llm import AnswerSchema, ChatRequest, Decoding, Message
from reaseq.llm.offline import OfflineReasoner

MODEL = "scripted"
Fault = tuple[int, dict[str, str], str]  # status, headers, body


def completion(text: str, finish: str = "stop") -> str:
    """The JSON of a chat completion that says `text`."""
    return json.dumps(
        {
            "id": "x", "object": "chat.completion", "created": 0, "model": MODEL,
            "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
        }
    )  # fmt: skip


class ScriptedEndpoint:
    """The server; use it as a context manager.

    `faults` are sent first, one per request. `answered` holds the body of every request that got an answer, `received`
    counts all. From the `hold_after`-th answer on, requests are kept waiting without one.
    """

    def __init__(self, rewrite: Callable[[str, dict[str, Any]], str] = lambda text, body: text):
        self.faults: list[Fault] = []
        self.delay = 0.0
        self.hold_after: int | None = None
        self.served = [MODEL]
        self.received = 0
        self.answered: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.rewrite = rewrite
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.reasoner = OfflineReasoner()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def __enter__(self) -> "ScriptedEndpoint":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()

    def _reply(self, raw: str) -> Fault | None:
        with self.lock:
            self.received += 1
            if self.faults:
                return self.faults.pop(0)
            held = self.hold_after is not None and len(self.answered) >= self.hold_after
            if not held:
                self.answered.append(raw)
        if held:
            self.stopping.wait(60)
            return None
        time.sleep(self.delay)
        body = json.loads(raw)
        form = body["response_format"]["json_schema"]
        request = ChatRequest(
            tuple(Message(m["role"], m["content"]) for m in body["messages"]),
            AnswerSchema(form["name"], form["schema"]),
            Decoding(body["temperature"], body["max_tokens"]),
        )
        answer = self.reasoner.complete(request)
        return 200, {}, completion(self.rewrite(answer.text, body), answer.finish_reason)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                data = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in endpoint.served]
                self._send((200, {}, json.dumps({"object": "list", "data": data})))

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
                reply = endpoint._reply(raw)
                if reply is None:
                    self.close_connection = True
                    return
                if reply[0] == 0:  # a fault of status 0: no answer for as many seconds as its body says
                    endpoint.stopping.wait(float(reply[2]))
                    self.close_connection = True
                    return
                self._send(reply)

            def _send(self, reply: Fault) -> None:
                status, headers, body = reply
                data = body.encode()
                self.send_response(status)
                self.send_header("Content-Type", headers.pop("Content-Type", "application/json"))
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
