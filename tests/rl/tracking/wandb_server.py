"""As much of a W&B server as `wandb sync` talks to: it keeps the lines of each run's history by their place, as the real one does."""

from __future__ import annotations

import gzip
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROJECT = {"id": "P", "name": "ucoder", "entity": {"id": "E", "name": "someone"}}


class WandbServer:
    """with WandbServer() as server: ...; then server.history[run_id] is what its page would show."""

    def __init__(self) -> None:
        self.history: dict[str, list[dict[str, Any]]] = {}
        self._config: dict[str, str] = {}
        self._summary: dict[str, str] = {}
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                self.answer({})

            def do_PUT(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.answer({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                if self.path.startswith("/graphql"):
                    request = json.loads(body)
                    operation = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])
                    self.answer({"data": owner.graphql(operation[1] if operation else "", request.get("variables") or {})})
                elif found := re.match(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
                    owner.stream(found[1], json.loads(body).get("files") or {})
                    self.answer({"exitcode": None, "limits": {}})
                else:
                    self.answer({})

            def answer(self, value: object) -> None:
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> WandbServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def graphql(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables.get("name")
        match operation:
            case "Viewer":
                return {"viewer": {"id": "V", "entity": "someone", "username": "someone", "flags": "{}", "teams": {"edges": []}}}
            case "ServerFeaturesQuery" | "ServerFeatures":
                return {"serverInfo": {"features": []}}
            case "UpsertBucket":
                is_new = name not in self.history
                lines = self.history.setdefault(name, [])
                self._config[name] = variables.get("config") or self._config.get(name, "{}")
                bucket = {"id": f"run-{name}", "name": name, "displayName": name, "description": None, "sweepName": None}
                bucket |= {"config": self._config[name], "project": PROJECT, "historyLineCount": len(lines)}
                return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}
            case "RunResumeStatus":
                return {"model": {**PROJECT, "bucket": self.resume_status(name) if name in self.history else None}}
            case "CreateRunFiles":
                files = [{"name": file, "uploadUrl": f"{self.url}/upload/{file}"} for file in variables["files"]]
                return {"createRunFiles": {"runID": "R", "uploadHeaders": [], "files": files}}
        return {}

    def resume_status(self, name: str) -> dict[str, Any]:
        lines = self.history[name]
        return {
            "id": f"run-{name}",
            "name": name,
            "displayName": name,
            "tags": [],
            "config": self._config[name],
            "logLineCount": 0,
            "eventsLineCount": 0,
            "eventsTail": "[]",
            "wandbConfig": json.dumps({"t": 1}),
            "summaryMetrics": self._summary.get(name, "{}"),
            "historyLineCount": len(lines),
            "historyTail": json.dumps([json.dumps(line) for line in lines[-1:]]),
        }

    def stream(self, name: str, files: dict[str, Any]) -> None:
        """Lines take their places, over what lies there."""
        for file, chunk in files.items():
            if file == "wandb-history.jsonl":
                place, lines = chunk["offset"], [json.loads(line) for line in chunk["content"]]
                self.history.setdefault(name, [])[place : place + len(lines)] = lines
            elif file == "wandb-summary.json":
                self._summary[name] = chunk["content"][-1]
