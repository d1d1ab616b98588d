"""Runs named checks one after another, prints one line for each and counts. Used by every Python suite."""
import os
import sys
import time
import traceback


class Checks:
    def __init__(self, suite):
        self.suite = suite
        self.passed = 0
        self.failed = 0

    def run(self, check):
        """Calls a function named after what it checks; its docstring, if any, is the better name."""
        name = (check.__doc__ or check.__name__.replace("_", " ")).strip()
        start = time.monotonic()
        try:
            check()
        except BaseException as problem:  # A suite must count even what a client library raises beyond Exception.
            if isinstance(problem, KeyboardInterrupt):
                raise
            self.failed += 1
            print(f"FAIL {name} ({time.monotonic() - start:.2f} s): {type(problem).__name__}: {problem}")
            traceback.print_exc(file=sys.stdout)
        else:
            self.passed += 1
            print(f"ok   {name} ({time.monotonic() - start:.2f} s)")
        sys.stdout.flush()

    def finish(self):
        print(f"{self.suite}: {self.passed} passed, {self.failed} failed")
        sys.stdout.flush()
        # Threads of a client that hangs must not keep the suite from ending.
        os._exit(1 if self.failed else 0)


def equal(expected, actual, what="value"):
    assert expected == actual, f"{what}: expected {expected!r}, got {actual!r}"


def eventually(condition, what, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


RUN = f"{os.getpid()}-{int(time.time())}"


def name(what):
    """A name that no earlier run used."""
    return f"{what}-{RUN}"
