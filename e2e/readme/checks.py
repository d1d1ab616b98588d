"""Runs the commands of README.md in order, as a reader types them, against a service that is up.

Each indented block is one check, or one check per line where a line needs what the line before it printed. Left out: the two commands
that start the service and the tests. Needs MILLSTREAM (the program), MILLSTREAM_DATA_DIR, what every suite is given, PYTHON (an
interpreter that has confluent-kafka) and TWEETS_JAR (a program that uses Apache Kafka's Java client).
"""
import os
import re
import subprocess
import sys
import tempfile
import time

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")
LIMIT = 90
# A program that reads until Ctrl-C is given this long to read what there is.
READING = 15

PREAMBLE = """
set -euo pipefail
millstream() { "$MILLSTREAM" "$@"; }
python3() { timeout --signal=INT %d "$PYTHON" "$@" || [ $? -eq 124 ]; }
""" % READING


def blocks(text):
    """The indented blocks of a Markdown text."""
    found, block = [], []
    for line in text.splitlines() + [""]:
        if line.startswith("    "):
            block.append(line[4:])
        elif block:
            found.append(block)
            block = []
    return found


def skipped(line):
    return line.startswith(("cargo ", "alias ", "#"))


class Reader:
    """Types the commands, and copies what earlier ones printed."""

    def __init__(self, directory):
        self.directory = directory
        self.printed = ""
        self.passed = 0
        self.failed = 0

    def complete(self, command):
        """Puts in what the README leaves open."""
        accounts = re.findall(r"\bsa-[a-z0-9]+", self.printed)
        keys = re.findall(r"\b[A-Z0-9]{16}\b", self.printed)
        command = command.replace("lkc-…", os.environ["CLUSTER_ID"]).replace("http://127.0.0.1:8080", os.environ["REST_URL"].rstrip("/"))
        command = command.replace("KEY:SECRET", f"{os.environ['API_KEY']}:{os.environ['API_SECRET']}")
        if "sa-…" in command:
            command = command.replace("sa-…", accounts[-1])
        # A person is asked and says yes.
        command = re.sub(r"^(millstream \S+ delete .*)$", r"\1 --force", command, flags=re.MULTILINE)
        return re.sub(r"\bKEY\b", keys[-1], command) if re.search(r"\bKEY\b", command) else command

    def check(self, name, command, expected=()):
        start = time.monotonic()
        ran = subprocess.run(["bash", "-c", PREAMBLE + self.complete(command)], cwd=self.directory, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, text=True)
        self.printed += ran.stdout
        missing = [text for text in expected if text not in ran.stdout]
        problem = f"exit code {ran.returncode}" if ran.returncode else f"it did not print {missing[0]!r}" if missing else None
        if problem:
            self.failed += 1
            print(f"FAIL {name}: {problem}\n     " + "\n     ".join(ran.stdout.splitlines()[-12:]))
        else:
            self.passed += 1
            print(f"ok   {name} ({time.monotonic() - start:.1f} s)")
        sys.stdout.flush()

    def expect(self, name, condition):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
        print(f"{'ok  ' if condition else 'FAIL'} {name}", flush=True)


# What a command of the README must print, by a word of the command.
PRINTED = {
    "topic consume tweets": ["Le premier tweet du matin", "Streams all the way down"],
    "-t tweets -C -e": ["Le premier tweet du matin", "Streams all the way down"],
    "python3 tweets.py": ["Le premier tweet du matin", "hello from kcat"],
    "curl -u": ["tweets"],
    "service-account create": ["sa-"],
}


def expected_of(command):
    return [text for word, texts in PRINTED.items() if word in command for text in texts]


def main():
    with open(README, encoding="utf-8") as file:
        text = file.read()
    with tempfile.TemporaryDirectory() as directory:
        reader = Reader(directory)
        for block in blocks(text):
            lines = [line for line in block if not skipped(line)]
            if not lines:
                continue
            if any("sa-…" in line or re.search(r"\bKEY\b", line) and "curl" not in line for line in lines):
                for line in lines:
                    reader.check(f"README: {line}", line, expected_of(line))
            else:
                reader.check(f"README: {lines[0]}", "\n".join(lines), expected_of("\n".join(lines)))
        if os.path.exists(os.path.join(directory, "client.properties")):
            reader.check("the Java properties work in an unmodified Java program", 'java -jar "$TWEETS_JAR" produce client.properties', ["produced"])
        for language in ("java", "librdkafka", "python", "go", "nodejs", "rust"):
            reader.check(f"client-config create {language}", f"millstream client-config create {language}", [os.environ["BOOTSTRAP_SERVERS"]])
        reader.expect("the README has commands to run", reader.passed + reader.failed >= 12)
        print(f"readme: {reader.passed} passed, {reader.failed} failed")
        sys.exit(1 if reader.failed else 0)


main()
