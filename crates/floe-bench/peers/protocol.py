"""Questions and answers, one JSON object a line, over standard input and output."""

import json
import sys
import time


def cell(value):
    """A value as text, so that no digit is lost on the way; None stays."""
    return None if value is None else str(value)


def serve(handlers):
    """Answers until the input ends. A handler takes a question's other fields as keyword arguments."""
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = handlers[question.pop("ask")](**question)
        except Exception as error:  # The harness stops at it.
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def repeat(run, seconds):
    """Runs something for so long, at least once; its last rows, how often, and how long it took."""
    began = time.perf_counter()
    times = 0
    while True:
        rows = run()
        times += 1
        elapsed = time.perf_counter() - began
        if elapsed >= seconds:
            return rows, times, elapsed
