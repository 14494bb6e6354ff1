"""Runs the parts of the test suite and adds them up; script/test calls it.

Each program speaks the Test Anything Protocol. A program that ends badly without a failed test to
show for it, or that runs no test at all, is a failure of its own: silence is not success.
"""
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
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
ON_POSTGRES = ["store", "vault", "privacy", "enrolment", "work", "portal", "access", "devices"]


# What measures time has the machine to itself.
ALONE = {"timing"}
# What is about the app's side, about the shape of messages, or about what others send needs no second database.
SQLITE_ONLY = {"agent", "hostile", "openapi"}
# Those that take minutes begin first, so that at the end no core waits for another.
LONGEST = ["browser quality in en", "browser quality in sv", "api crash on PostgreSQL", "api crash", "fuzz", "browser factors",
           "api factors on PostgreSQL", "api purchases on PostgreSQL", "api purchases", "api factors", "api mail on PostgreSQL"]


class Tally:
    def __init__(self):
        self.passed = self.failed = 0
        self.lock = threading.Lock()

    def note(self, name, passed, failed, seconds, processor, shown=()):
        with self.lock:
            self.passed += passed
            self.failed += failed
            print(f"{'ok    ' if failed == 0 else 'FAILED'} {name:<40} {passed:5} passed {failed:3} failed {seconds:6.1f} s "
                  f"{processor:6.1f} s of processor", flush=True)
            for line in shown:
                print(f"       {line}", flush=True)


class Program:
    """One test program: what it is called, the words of its command, what its environment has besides."""

    def __init__(self, name, words, env=None, prefix=(), alone=False):
        self.name, self.words, self.env, self.prefix, self.alone = name, words, env or {}, prefix, alone


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


def run(tally, program, timeout=1800):
    began = time.monotonic()
    log = os.path.join(LOGS, re.sub(r"[^\w.-]+", "-", program.name) + ".log")
    with open(log, "w", encoding="utf-8") as out:
        ran = subprocess.Popen([*program.prefix, *program.words], cwd=ROOT, env={**os.environ, **SANITIZED, **program.env},
                               stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        ender = threading.Timer(timeout, ran.kill)
        ender.start()
        _, status, usage = os.wait4(ran.pid, 0)
        ender.cancel()
        ran.returncode = code = os.waitstatus_to_exitcode(status)
    with open(log, encoding="utf-8", errors="replace") as f:
        text = f.read()
    passed, failed = read_tap(text)
    shown = list(failed)
    if code != 0 and not failed or passed + len(failed) == 0:
        failed.append("ended badly")
        shown = text.splitlines()[-30:] + [f"exit {code} after at most {timeout} s"]
    if failed:
        shown.append(f"see {os.path.relpath(log, ROOT)}")
        if os.environ.get("CI"):
            shown.append(text[-20000:])
    tally.note(program.name, passed, len(failed), time.monotonic() - began, usage.ru_utime + usage.ru_stime, shown)


def run_all(tally, programs):
    """Three more at a time than there are cores: most of them wait now and then, for a disk or a browser."""
    waiting = queue.Queue()
    for program in sorted((p for p in programs if not p.alone), key=lambda p: LONGEST.index(p.name) if p.name in LONGEST else len(LONGEST)):
        waiting.put(program)

    def work():
        while True:
            try:
                program = waiting.get_nowait()
            except queue.Empty:
                return
            run(tally, program)

    threads = [threading.Thread(target=work) for _ in range((os.cpu_count() or 1) + 3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for program in (p for p in programs if p.alone):
        run(tally, program)


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
            must(["meson", "setup", BUILD, "-Dbuildtype=debugoptimized", "-Doptimization=g", "-Db_sanitize=address,undefined"])
        must(["ninja", "-C", BUILD])
    print(f"built  {'with sanitizers' if sanitized else 'the release':<40} {time.monotonic() - began:38.1f} s", flush=True)


def unit_programs(only, where, prefix=()):
    """What the meson.build files call a test, with its own arguments and environment."""
    said = subprocess.run(["meson", "introspect", "--tests", BUILD], capture_output=True, text=True, check=True).stdout
    return [Program(f"unit {test['name']}{where}", test["cmd"], {**test["env"], "CMOCKA_MESSAGE_OUTPUT": "TAP"}, prefix)
            for test in json.loads(said) if only is None or test["name"] in only]


def api_programs(where, prefix=()):
    files = sorted(f for f in os.listdir(os.path.join(ROOT, "tests/api")) if f.startswith("test_") and f.endswith(".py") and
                   not (prefix and f[5:-3] in SQLITE_ONLY))
    return [Program(f"api {f[5:-3]}{where}", [sys.executable, f"tests/api/{f}"], {"TROTH_BIN": TROTH, "TROTH_RELEASE": RELEASE}, prefix,
                    alone=f[5:-3] in ALONE) for f in files]


def part_check():
    return [Program("check", [sys.executable, "tools/check.py"])]


def part_unit():
    return unit_programs(None, "")


def part_api():
    npm()
    return api_programs("")


def part_pg():
    npm()
    postgres = ["./script/with-postgres"]
    return unit_programs(ON_POSTGRES, " on PostgreSQL", postgres) + api_programs(" on PostgreSQL", postgres)


def npm():
    folder = os.path.join(ROOT, "tests/e2e")
    lock, mark = os.path.join(folder, "package-lock.json"), os.path.join(folder, "node_modules/.package-lock.json")
    if not os.path.exists(mark) or os.path.getmtime(mark) < os.path.getmtime(lock):
        must(["npm", "--prefix", folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], timeout=300)
        os.utime(mark)


def part_e2e():
    npm()
    files = sorted(f for f in os.listdir(os.path.join(ROOT, "tests/e2e")) if f.endswith(".test.mjs"))
    programs = []
    for f in files:
        # The one that takes longest by far, in each language by itself.
        for language in ("en", "sv") if f == "quality.test.mjs" else (None,):
            env = {"TROTH_BIN": TROTH, **({"TROTH_TEST_LANGUAGE": language} if language else {})}
            programs.append(Program(f"browser {f[:-9]}{f' in {language}' if language else ''}",
                                    ["node", "--test", "--test-reporter=tap", f"tests/e2e/{f}"], env))
    return programs


def part_fuzz():
    return [Program("fuzz", ["./script/fuzz"])]


PARTS = {"check": part_check, "unit": part_unit, "e2e": part_e2e, "pg": part_pg, "api": part_api, "fuzz": part_fuzz}


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
    run_all(tally, [program for name in PARTS if name in wanted for program in PARTS[name]()])
    print(f"\n{time.monotonic() - began:.0f} s\n{tally.passed} passed, {tally.failed} failed", flush=True)
    sys.exit(0 if tally.failed == 0 and tally.passed > 0 else 1)


if __name__ == "__main__":
    main()
