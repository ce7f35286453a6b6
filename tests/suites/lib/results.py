"""What came of each test of a suite, read from the forms in which test runners say it."""

import json
import re
import xml.etree.ElementTree
from dataclasses import dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass
class Result:
    name: str
    outcome: str
    detail: str = ""


def of_junit(path):
    """pytest, Ant, PHPUnit and others: an XML file or a folder of them."""
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    # a test that was run again counts once, by its last outcome
    return list({result.name: result for file in files for result in of_junit_file(file)}.values())


def of_junit_file(file):
    results = []
    for case in xml.etree.ElementTree.parse(file).getroot().iter("testcase"):
        # Erlang's tests are in groups, and run once in each
        name = f"{case.get('classname') or case.get('group', '')}.{case.get('name')}".strip(".")
        wrong = next((part for part in case if part.tag in ("failure", "error")), None)
        if wrong is not None:
            results.append(Result(name, FAILED, (wrong.text or wrong.get("message") or "").strip()))
        elif case.find("skipped") is not None:
            results.append(Result(name, SKIPPED))
        else:
            results.append(Result(name, PASSED))
    return results


def of_tap(text):
    """Programs that print `ok 1 - name`, `not ok 2 - name`, `ok 3 - name # SKIP why`, with details behind `#`."""
    results = []
    for line in text.splitlines():
        found = re.match(r"(not )?ok\b\s*\d*\s*-?\s*(.*)", line)
        if found:
            name, _, directive = found[2].partition(" # ")
            outcome = SKIPPED if directive.upper().startswith("SKIP") else FAILED if found[1] else PASSED
            results.append(Result(name.strip(), outcome))
        elif results and results[-1].outcome == FAILED and line.startswith("#"):
            results[-1].detail += line[1:].strip() + "\n"
    return results


def of_cargo(text):
    """cargo test: `test name ... ok`; what failed says why further down."""
    results, binary = [], ""
    for line in text.splitlines():
        if running := re.search(r"Running (?:unittests )?(?:tests/)?(\S+?)(?:\.rs)? \(", line):
            binary = running[1]
        if found := re.match(r"test (.+?) \.\.\. (ok|FAILED|ignored)", line):
            outcome = {"ok": PASSED, "FAILED": FAILED, "ignored": SKIPPED}[found[2]]
            results.append(Result(f"{binary}::{found[1]}", outcome, panics(text, found[1]) if outcome == FAILED else ""))
    return results


def panics(text, name):
    said = re.search(rf"---- {re.escape(name)} stdout ----\n(.*?)(?=\n----|\nfailures:)", text, re.S)
    return said[1].strip() if said else ""


def of_go(text):
    """go test -json."""
    results, output = [], {}
    for line in text.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        name, action = event.get("Test"), event["Action"]
        if not name:
            continue
        if action == "output":
            output[name] = output.get(name, "") + event["Output"]
        elif action in ("pass", "fail", "skip"):
            outcome = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}[action]
            results.append(Result(name, outcome, output.get(name, "") if outcome == FAILED else ""))
    return results


def of_rspec(text):
    """RSpec's JSON; examples without a text of their own have their place as a name."""
    outcomes = {"passed": PASSED, "failed": FAILED, "pending": SKIPPED}
    report = json.loads(text)
    results = []
    for example in report["examples"]:
        wrong = example.get("exception") or {}
        detail = "\n".join([wrong.get("message") or "", *(wrong.get("backtrace") or [])[:8]])
        results.append(Result(f"{example['id']} {example['full_description']}", outcomes[example["status"]], detail))
    if report["summary"].get("errors_outside_of_examples_count"):
        results.append(Result("outside of the examples", FAILED, "\n".join(report.get("messages", []))))
    return results


def of_phpt(text):
    """PHP's run-tests.php: `PASS name [file]`."""
    outcomes = {"PASS": PASSED, "FAIL": FAILED, "SKIP": SKIPPED}
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)
    found = re.findall(r"(PASS|FAIL|SKIP) (.*?) \[(\S+?\.phpt)\]", plain)
    return [Result(file.rsplit("/", 1)[-1], outcomes[outcome]) for outcome, _, file in found]
