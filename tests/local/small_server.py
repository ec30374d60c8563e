"""A process for the supervisor's tests: `small_server.py NAME PORT FILE [BEHAVIOUR]`. Its end adds NAME to FILE."""

from __future__ import annotations

import json
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

name, port, ends, *behaviour = sys.argv[1:]
print(f"{name} says hello", flush=True)


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = "never-ready" not in behaviour
        body = b"{}" if ready else json.dumps({"output": "still counting the rice fields"}).encode()
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def end(number: int, frame: object) -> None:
    with Path(ends).open("a") as file:
        file.write(f"{name}\n")
    sys.exit(0)


signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in behaviour else end)
if "exit" in behaviour:
    sys.exit(int(behaviour[-1]))
if "sleep" in behaviour:
    time.sleep(600)
HTTPServer(("127.0.0.1", int(port)), Health).serve_forever()
