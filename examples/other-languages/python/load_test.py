#!/usr/bin/env python3
"""A load test in Python: serves golo.Job, and writes a line for each request to its target.

Needs grpcio (`pip install grpcio`) and nothing else: the messages are small enough to be written by hand. Run it with

    golo run examples/other-languages/python/load_test.py -u 10 -d 10s -e TARGET_URL=http://127.0.0.1:8765/

It has two scenarios. Those that a run names are dealt by their weights:

    golo run examples/other-languages/python/load_test.py -u 10 -d 10s --scenario browse:weight=9 --scenario look:weight=1
"""

import http.client
import json
import os
import signal
import sys
import threading
import time
import uuid
from concurrent import futures
from datetime import datetime, timezone
from urllib.parse import urljoin, urlsplit

import grpc

TARGET = os.environ.get("TARGET_URL", "http://127.0.0.1:8765/")
# golo says where to serve; whoever does not know that is found on 127.0.0.1:9999.
ADDRESS = os.environ.get("GOLO_ADDR", "127.0.0.1:9999")
# go-lo's later layout of Response, with `LAYOUT=later`: golo reads either.
IS_LATER = os.environ.get("LAYOUT") == "later"

connections = threading.local()
stdout = threading.Lock()


# What each scenario requests. A run that names none has triggers without a scenario.
SCENARIOS = {"": "", "browse": "items", "look": "items/7"}


def trigger(request: bytes, _context) -> bytes:
    """One trigger: what a user does each time."""
    started = time.monotonic_ns()
    sequence = str(uuid.uuid4())
    fields = texts(request)
    job, scenario = fields.get(1, ""), fields.get(4, "")
    if scenario in SCENARIOS:
        error = get(sequence, urljoin(TARGET, SCENARIOS[scenario]), scenario)
    else:
        error = f"no scenario {scenario!r}"
    duration = time.monotonic_ns() - started
    return response(sequence, job, error, duration)


def get(sequence: str, url: str, scenario: str):
    """Requests a page, writes its line, and gives what went wrong."""
    started = time.monotonic_ns()
    status, size, error = 0, 0, None
    try:
        connection = connection_to(urlsplit(url))
        connection.request("GET", urlsplit(url).path or "/")
        answer = connection.getresponse()
        status, size = answer.status, len(answer.read())
    except OSError as reason:
        error = f"connect: {reason}"
        connections.__dict__.clear()
    except http.client.HTTPException as reason:
        error = f"other: {reason!r}"
        connections.__dict__.clear()
    duration = time.monotonic_ns() - started
    tags = {"tags": {"scenario": scenario}} if scenario else {}
    write_line(
        {
            "sequenceID": sequence,
            "url": url,
            "method": "GET",
            "status": status,
            "size": size,
            "timestamp": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            "duration": duration,
            "error": error,
            **tags,
        }
    )
    return error


def connection_to(target):
    """The connection of this thread, kept alive."""
    if not hasattr(connections, "it"):
        connections.it = http.client.HTTPConnection(target.hostname, target.port or 80, timeout=60)
    return connections.it


def write_line(output):
    """One line on stdout, whole, and at once: golo reads it while the run goes on."""
    with stdout:
        sys.stdout.write(json.dumps(output) + "\n")
        sys.stdout.flush()


def texts(message: bytes) -> dict:
    """The texts of a message by field number; a Context has jobName = 1 and scenario = 4."""
    found, at = {}, 0
    while at < len(message):
        key, at = read_varint(message, at)
        value, at = read_varint(message, at)
        if key & 7 == 2:
            found[key >> 3] = message[at : at + value].decode()
            at += value
    return found


def read_varint(data: bytes, at: int):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def response(sequence: str, job: str, error, duration: int) -> bytes:
    """A Response: id = 1, jobName = 2, error = 3, output = 4; in the later layout duration = 4, output = 5."""
    message = text(1, sequence) + text(2, job) + number(3, int(error is not None))
    if IS_LATER:
        message += number(4, duration)
    return message + text(5 if IS_LATER else 4, error or "")


def text(field: int, value: str) -> bytes:
    data = value.encode()
    return varint(field << 3 | 2) + varint(len(data)) + data if data else b""


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


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
