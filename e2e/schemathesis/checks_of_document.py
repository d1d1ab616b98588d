"""Runs schemathesis over every operation of the served OpenAPI document and counts what it found, a line for each operation and phase.

Needs REST_URL, CLOUD_API_KEY, CLOUD_API_SECRET, REPORTS (a folder) and an interpreter with schemathesis beside it.
"""
import collections
import glob
import json
import os
import subprocess
import sys

# Not among them: positive_data_acceptance. A document cannot say which ids exist, nor that a name is taken.
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method", "ignored_auth",
)
EXAMPLES_PER_OPERATION = os.environ.get("EXAMPLES", "30")
LIMIT_SECONDS = 900
# Only the user of a session can end it, and the caller is none.
CANNOT_SUCCEED = {"DELETE /iam/v2/sessions/{id}"}

reports = os.environ["REPORTS"]
for old in glob.glob(os.path.join(reports, "*")):
    os.remove(old)
here = os.path.dirname(os.path.abspath(__file__))
events_path, summary_path = os.path.join(reports, "events.ndjson"), os.path.join(reports, "summary.json")
command = [
    os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", os.environ["REST_URL"].rstrip("/") + "/openapi.json",
    "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing,stateful", "--max-examples", EXAMPLES_PER_OPERATION,
    "--generation-deterministic", "--continue-on-failure", "--no-color", "--warnings", "off",
    "--auth", f"{os.environ['CLOUD_API_KEY']}:{os.environ['CLOUD_API_SECRET']}",
    "--report-ndjson-path", events_path, "--report-json-path", summary_path,
]
environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": here}
ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, cwd=reports, timeout=LIMIT_SECONDS)

# Whatever happened to an operation in a phase; a failure of any case is a failure of the whole.
results = collections.defaultdict(set)
with open(events_path, encoding="utf-8") as events:
    for line in events:
        finished = json.loads(line).get("ScenarioFinished")
        if finished:
            phase, label = finished["phase"], finished["recorder"]["label"]
            results["stateful" if phase == "stateful" else f"{phase}: {label}"].add(finished["status"])
with open(summary_path, encoding="utf-8") as file:
    summary = json.load(file)

passed = failed = 0
for name, statuses in sorted(results.items()):
    if statuses <= {"success", "skip"}:
        passed += 1
        print(f"ok   {name}")
    else:
        failed += 1
        print(f"FAIL {name}")


def expect(condition, name):
    global passed, failed
    passed, failed = passed + bool(condition), failed + (not condition)
    print(f"{'ok  ' if condition else 'FAIL'} {name}")


total = summary["operations"]["total"]
expect(summary["complete"] and not summary["errors"], f"schemathesis ran to its end: {summary['stop_reason']} {summary['errors']}")
expect(summary["operations"]["tested"] == total >= 20, f"all of the {total} operations were tested")
never_reached = [operation for operation, phases in summary["valid_rates"].items() if not any(phase["accepted"] for phase in phases.values())]
never_reached = [operation for operation in never_reached if operation not in CANNOT_SUCCEED]
expect(not never_reached, f"every operation did something at least once, not only refused: {never_reached}")
expect((ran.returncode == 0) == (not summary["failures"]), f"exit code {ran.returncode}")
print(f"{summary['test_cases']['generated']} requests")
print(f"schemathesis: {passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
