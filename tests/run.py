"""Runs the parts of the test suite and adds them up; script/test calls it.

Each program speaks the Test Anything Protocol. A program that ends badly without a failed test to
show for it, or that runs no test at all, is a failure of its own: silence is not success.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build/test")
LOGS = os.path.join(BUILD, "logs")
TROTH = os.path.join(BUILD, "src/cli/troth")
RELEASE = os.path.join(ROOT, "build/troth")

# The sanitizers' word goes where the test's does, and ends the program.
SANITIZED = {
    "ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}
# Those that say something else on PostgreSQL.
ON_POSTGRES = ["store", "vault", "privacy", "enrolment", "work", "portal", "access"]


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def note(self, name, passed, failed, seconds, shown=()):
        self.passed += passed
        self.failed += failed
        print(f"{'ok    ' if failed == 0 else 'FAILED'} {name:<40} {passed:5} passed {failed:3} failed {seconds:6.1f} s", flush=True)
        for line in shown:
            print(f"       {line}", flush=True)


def read_tap(text):
    """(passed, titles of what failed). A node suite is a heading over its tests and does not count."""
    passed, failed = 0, []
    lines = text.splitlines()
    for i, line in enumerate(lines):
        m = re.match(r"\s*(not )?ok(?: \d+)?(?: -)? (.*)", line)
        if not m:
            continue
        suite = False
        for below in lines[i + 1:i + 8]:
            if re.match(r"\s*(not )?ok\b", below) or below.strip() == "...":
                break
            suite = suite or "type: 'suite'" in below
        if suite:
            continue
        if m.group(1):
            failed.append(m.group(2))
        else:
            passed += 1
    return passed, failed


def run(tally, name, words, env=None, timeout=1800, cwd=ROOT, prefix=()):
    began = time.monotonic()
    log = os.path.join(LOGS, re.sub(r"[^\w.-]+", "-", name) + ".log")
    with open(log, "w", encoding="utf-8") as out:
        try:
            code = subprocess.run([*prefix, *words], cwd=cwd, env={**os.environ, **SANITIZED, **(env or {})}, stdin=subprocess.DEVNULL,
                                  stdout=out, stderr=subprocess.STDOUT, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            code = f"no end after {timeout} s"
    with open(log, encoding="utf-8", errors="replace") as f:
        text = f.read()
    passed, failed = read_tap(text)
    shown = list(failed)
    if code != 0 and not failed or passed + len(failed) == 0:
        failed.append("ended badly")
        shown = text.splitlines()[-30:] + [f"exit {code}"]
    if failed:
        shown.append(f"see {os.path.relpath(log, ROOT)}")
    tally.note(name, passed, len(failed), time.monotonic() - began, shown)
    if failed and os.environ.get("CI"):
        sys.stdout.write(text[-20000:])


def must(words, **kw):
    ran = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)
    if ran.returncode != 0:
        sys.exit(f"{ran.stdout}\n{' '.join(words)}: exit {ran.returncode}")


def build(sanitized):
    began = time.monotonic()
    if not sanitized:
        must(["./script/build"])
    else:
        if not os.path.exists(os.path.join(BUILD, "build.ninja")):
            must(["meson", "setup", BUILD, "-Dbuildtype=debugoptimized", "-Db_sanitize=address,undefined"])
        must(["ninja", "-C", BUILD])
    print(f"built  {'with sanitizers' if sanitized else 'the release':<40} {time.monotonic() - began:38.1f} s", flush=True)


def unit_programs(tally, only, where, prefix=()):
    """What the meson.build files call a test, with its own arguments and environment."""
    said = subprocess.run(["meson", "introspect", "--tests", BUILD], capture_output=True, text=True, check=True).stdout
    for test in json.loads(said):
        if only is None or test["name"] in only:
            run(tally, f"unit {test['name']}{where}", test["cmd"], env={**test["env"], "CMOCKA_MESSAGE_OUTPUT": "TAP"}, prefix=prefix)


def api_files():
    return sorted(f for f in os.listdir(os.path.join(ROOT, "tests/api")) if f.startswith("test_") and f.endswith(".py"))


def api_programs(tally, where, prefix=()):
    for name in api_files():
        run(tally, f"api {name[5:-3]}{where}", [sys.executable, f"tests/api/{name}"],
            env={"TROTH_BIN": TROTH, "TROTH_RELEASE": RELEASE}, prefix=prefix)


def part_check(tally):
    run(tally, "check", [sys.executable, "tools/check.py"])


def part_unit(tally):
    unit_programs(tally, None, "")


def part_api(tally):
    npm()
    api_programs(tally, "")


def part_pg(tally):
    npm()
    postgres = ["./script/with-postgres"]
    unit_programs(tally, ON_POSTGRES, " on PostgreSQL", postgres)
    api_programs(tally, " on PostgreSQL", postgres)


def npm():
    folder = os.path.join(ROOT, "tests/e2e")
    lock, mark = os.path.join(folder, "package-lock.json"), os.path.join(folder, "node_modules/.package-lock.json")
    if not os.path.exists(mark) or os.path.getmtime(mark) < os.path.getmtime(lock):
        must(["npm", "--prefix", folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], timeout=300)
        os.utime(mark)


def part_e2e(tally):
    npm()
    for name in sorted(f for f in os.listdir(os.path.join(ROOT, "tests/e2e")) if f.endswith(".test.mjs")):
        run(tally, f"browser {name[:-9]}", ["node", "--test", "--test-reporter=tap", f"tests/e2e/{name}"], env={"TROTH_BIN": TROTH})


def part_fuzz(tally):
    run(tally, "fuzz", ["./script/fuzz"])


PARTS = {"check": part_check, "unit": part_unit, "api": part_api, "pg": part_pg, "e2e": part_e2e, "fuzz": part_fuzz}


def main():
    wanted = sys.argv[1:] or list(PARTS)
    for name in wanted:
        if name not in PARTS:
            sys.exit(f"usage: script/test [{'|'.join(PARTS)} …]")
    shutil.rmtree(LOGS, ignore_errors=True)
    began = time.monotonic()
    if set(wanted) - {"check", "fuzz"}:
        build(sanitized=True)
    if {"api", "pg"} & set(wanted):
        build(sanitized=False)
    os.makedirs(LOGS, exist_ok=True)
    tally = Tally()
    for name in wanted:
        PARTS[name](tally)
    print(f"\n{time.monotonic() - began:.0f} s\n{tally.passed} passed, {tally.failed} failed", flush=True)
    sys.exit(0 if tally.failed == 0 and tally.passed > 0 else 1)


if __name__ == "__main__":
    main()
