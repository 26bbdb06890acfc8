#!/usr/bin/env python3
"""A chat-completions server that does what the name of the model says. Standard library only.

    tests/fake-chat.py --port-file FILE [--log FILE]

Listens on a free port of 127.0.0.1 and writes its URL to FILE. Any POST is a completion. The model's
name, behind an optional `fake-`, is one of:

    ok           a plain answer                     refuse       a refusal
    hedge        an answer that commits to nothing  empty        no text
    json         a JSON object                      broken-json  a JSON object with a trailing comma
    bad-body     an HTTP body that is no JSON       no-choices   a completion without choices
    paths        names a file that is not there     echo         repeats the last message
    stall        never answers                      cut          half an answer, then a closed connection
    error        500 in OpenAI's shape              busy         429 with Retry-After
    stream       server-sent events, whatever was asked for
    cut-stream   server-sent events that break off

With "stream": true in the request, every answer with a text is streamed. --log gets one line of JSON
for each request: its path, its Authorization header and its body.
"""

import argparse
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXTS = {
    "ok": "Hold the lock only while the manifest is written, and retry three times at most.",
    "refuse": "I\u2019m sorry, but I can\u2019t help with that request.",
    "hedge": "I'm not sure; it depends on details that I don't know.",
    "empty": "",
    "json": '{"risk": "low", "steps": ["ask for the soil report"]}',
    "broken-json": '{"risk": "low", "steps": ["ask for the soil report",],}',
    "paths": "The bug is in src/invented/by_the_model.rs:42.",
    "stream": "Every piece of this answer arrives on its own.",
}
OVER = threading.Event()


class Chat(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            asked = json.loads(body)
        except ValueError:
            return self.reply(400, {"error": {"message": "the body is no JSON"}})
        if Chat.log:
            entry = {"path": self.path, "authorization": self.headers.get("authorization"), "body": asked}
            with open(Chat.log, "a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
        model = str(asked.get("model", "ok")).removeprefix("fake-")
        text = asked["messages"][-1]["content"] if model == "echo" else TEXTS.get(model)
        if model == "stall":
            OVER.wait()
            self.close_connection = True
        elif model == "cut":
            self.head(200, "application/json", 1000)
            self.wfile.write(b'{"choices": [{"message": {"content": "Half')
            self.close_connection = True
        elif model == "bad-body":
            self.send(200, "application/json", b"<html>not what you asked for</html>")
        elif model == "no-choices":
            self.reply(200, {"object": "chat.completion", "choices": []})
        elif model == "error":
            self.reply(500, {"error": {"message": "the model fell over", "type": "server_error"}})
        elif model == "busy":
            self.reply(429, {"error": {"message": "too many requests"}}, {"retry-after": "1"})
        elif model == "cut-stream":
            self.stream(TEXTS["stream"], whole=False)
        elif text is None:
            self.reply(404, {"error": {"message": f"no model {model}"}})
        elif model == "stream" or asked.get("stream"):
            self.stream(text, whole=True)
        else:
            usage = {"prompt_tokens": len(body) // 4, "completion_tokens": len(text) // 4}
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self.reply(200, {"object": "chat.completion", "model": model, "choices": [choice], "usage": usage})

    def stream(self, text, whole):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        words = text.split(" ")
        for i, word in enumerate(words):
            piece = word if i == 0 else " " + word
            self.event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
            # Apart in time, so that whoever holds them back is seen doing it.
            time.sleep(0.02)
            if not whole and i == len(words) // 2:
                self.close_connection = True
                return
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self.chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def event(self, event):
        self.chunk(f"data: {json.dumps(event)}\n\n".encode())

    def chunk(self, data):
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def reply(self, status, body, headers=()):
        self.send(status, "application/json", json.dumps(body).encode(), dict(headers))

    def send(self, status, content_type, body, headers=None):
        self.head(status, content_type, len(body), headers or {})
        self.wfile.write(body)

    def head(self, status, content_type, length, headers=None):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--log")
    args = parser.parse_args()
    Chat.log = args.log
    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    server.daemon_threads = True
    with open(args.port_file + ".new", "w", encoding="utf-8") as file:
        file.write(f"http://127.0.0.1:{server.server_address[1]}/v1/chat/completions\n")
    # Whoever waits for the file must find it whole.
    os.replace(args.port_file + ".new", args.port_file)
    try:
        server.serve_forever()
    finally:
        OVER.set()


main()
