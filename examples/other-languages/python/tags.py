#!/usr/bin/env python3
"""A load test in Python that prints nothing: its tags say what it measured, as in go-lo's own example.

Needs grpcio (`pip install grpcio`) and nothing else. Run it with

    golo run examples/other-languages/python/tags.py -u 10 -d 10s -e TARGET_URL=http://127.0.0.1:8765/
"""

import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from concurrent import futures

import grpc

from load_test import ADDRESS, IS_LATER, TARGET, number, text, texts, varint


def trigger(request: bytes, _context) -> bytes:
    """One trigger: what a user does each time."""
    started = time.monotonic_ns()
    tags, error = {"url": TARGET}, ""
    try:
        with urllib.request.urlopen(TARGET, timeout=25) as answer:
            tags |= {"status": f"{answer.status} {answer.reason}", "size": len(answer.read())}
    except urllib.error.HTTPError as answer:
        tags |= {"status": f"{answer.code} {answer.reason}", "size": len(answer.read())}
    except OSError as reason:
        error = str(reason)
    return response(texts(request).get(1, ""), error, time.monotonic_ns() - started, tags)


def response(job: str, error: str, duration: int, tags: dict) -> bytes:
    """A Response: output = 4, tags = 5; in the later layout duration = 4, output = 5, tags = 6."""
    message = text(1, str(uuid.uuid4())) + text(2, job) + number(3, int(bool(error)))
    if IS_LATER:
        message += number(4, duration)
    message += text(5 if IS_LATER else 4, error)
    for key, value in tags.items():
        tag = text(1, key) + text(2, str(value))
        message += varint((6 if IS_LATER else 5) << 3 | 2) + varint(len(tag)) + tag
    return message


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=64))
    handler = grpc.unary_unary_rpc_method_handler(trigger)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("golo.Job", {"Trigger": handler}),))
    server.add_insecure_port(ADDRESS)
    server.start()
    # What is in flight may finish.
    signal.signal(signal.SIGTERM, lambda *_: server.stop(30))
    server.wait_for_termination()


if __name__ == "__main__":
    main()
