"""Measures the portal against the bare work, in one run: script/bench [--quick] [--write] [PART…].

Figures are ratios, since machines differ; docs/performance.md keeps the last full run."""
import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import apps
import parts
import report
from servers import ROOT


PARTS = parts.PARTS | apps.PARTS


def arguments():
    a = argparse.ArgumentParser(prog="script/bench", description="Measures the portal against the bare work.")
    a.add_argument("part", nargs="*", metavar="PART", help="one of: " + ", ".join(PARTS) + " (all)")
    a.add_argument("--quick", action="store_true", help="small numbers, one round: whether the bench works")
    a.add_argument("--write", action="store_true", help="write docs/performance.md")
    a.add_argument("--program", default=ROOT / "build/troth", type=Path, help="another build of the program")
    a.add_argument("--scratch", default=ROOT / "build", type=Path, help="where the stores are made (on a real disk)")
    given = a.parse_args()
    for name in given.part:
        if name not in PARTS:
            a.error(f"there is no part {name}")
    if given.write and (given.part or given.quick):
        a.error("--write keeps a full run")
    return given


def main():
    given = arguments()
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=given.scratch))
    bench = parts.Bench(given.program.resolve(), scratch, given.quick)
    began, results = time.monotonic(), {}
    try:
        machine = report.machine(scratch)
        for name in given.part or PARTS:
            print(f"{name} …", file=sys.stderr, flush=True)
            results[name] = PARTS[name](bench)
            if not given.part:
                print(report.table(results[name]), file=sys.stderr, flush=True)
        seconds = time.monotonic() - began
        print(report.table([row for rows in results.values() for row in rows]))
        print(f"\n{report.sentence(machine)} {seconds / 60:.0f} min.")
        if given.write:
            report.write(ROOT / "docs/performance.md", machine, results, bench, seconds)
    finally:
        bench.close()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
