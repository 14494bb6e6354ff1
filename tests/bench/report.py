"""The figures as a table, and docs/performance.md."""
import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

from servers import helper

HEAD = ("what", "troth", "baseline", "ratio", "aim", "met")


def machine(scratch):
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="utf-8")).group(1))
    release = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text(encoding="utf-8"))
    return {"cores": os.cpu_count(), "cpu": cpu.group(1) if cpu else platform.machine(),
            "memory": round(memory / 1048576), "system": release.group(1) if release else "Linux",
            "kernel": platform.release().split("-")[0],
            "sync": helper("bare", "fsync", scratch, 300)["micros"]}


def sentence(m):
    return (f"{m['cores']} cores ({m['cpu']}), {m['memory']} GiB, {m['system']}, Linux {m['kernel']}; a disk that "
            f"syncs 4 KiB in {m['sync'] / 1000:.2f} ms.")


def cells(row):
    met = {None: "", True: "yes", False: "no"}[row.met]
    return (row.what, row.product, row.baseline, f"{row.ratio:.2f}", row.aim, met)


def table(rows):
    lines = [HEAD, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, tuple("-" * w for w in widths))
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines)


def write(path, machine, results, bench, seconds):
    """The full run as a page: machine, how much was measured, a table for each part."""
    text = ["# Performance", "",
            "Written by `./script/bench --write`; see [tests/bench](../tests/bench/README.md). Figures are ratios of the",
            "portal to the bare work in one run: machines differ, the ratio says what the portal adds.", "",
            f"{sentence(machine)} {time.strftime('%Y-%m-%d', time.gmtime())}; {bench.rounds} rounds, medians; "
            f"{bench.small:,} and {bench.big:,} accounts; {seconds / 60:.0f} min.", ""]
    for name, rows in results.items():
        text += [f"## {name}", "", table(rows), ""]
    path.write_text("\n".join(text), encoding="utf-8")
