#!/usr/bin/env python3
"""The library's ABI: what it exports, and where each member of each struct lies, against abi.txt, and the header in
C99 and C++11. test_abi.py LIBRARY CC CXX; --write instead of it writes abi.txt anew. TAP on the output.

Others' programs were built against these numbers (of 64-bit Linux): a line may be added, none may change or go.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LIST = os.path.join(HERE, "abi.txt")


def header():
    with open(os.path.join(HERE, "troth.h"), encoding="utf-8") as f:
        return re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)


def structs(text):
    """{name: [members]} of each struct that the header fills out."""
    found = {}
    for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", text, re.S | re.M):
        members = []
        for declaration in body.split(";"):
            members += re.findall(r"(\w+)\s*(?:,|$)", declaration.strip())
        found[name] = members
    return found


def values(text):
    return [name for body in re.findall(r"^enum \w+ \{(.*?)^\};", text, re.S | re.M) for name in re.findall(r"(TROTH_\w+) =", body)]


def compiled(cc, source, words):
    return subprocess.run([cc, *words, "-Wall", "-Wextra", "-pedantic-errors", "-Werror", f"-I{HERE}", "-x", source[0], "-"],
                          input=source[1], capture_output=True, text=True)


def numbers(cc, text):
    """What a program of today's is told: struct NAME SIZE, struct NAME.MEMBER OFFSET, enum NAME VALUE."""
    lines = ["#include <troth.h>", "#include <stdio.h>", "int main(void) {"]
    for name, members in structs(text).items():
        lines.append(f'printf("struct {name} %zu\\n", sizeof(struct {name}));')
        lines += [f'printf("struct {name}.{m} %zu\\n", offsetof(struct {name}, {m}));' for m in members]
    lines += [f'printf("enum {v} %d\\n", (int){v});' for v in values(text)]
    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "numbers")
        ran = compiled(cc, ("c", "\n".join([*lines, "return 0; }", ""])), ["-std=c99", "-o", program])
        if ran.returncode != 0:
            raise AssertionError(ran.stderr)
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def exported(library):
    said = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    return sorted(f"symbol {row.split()[-1]}" for row in said.splitlines())


def declared(text):
    return sorted(f"symbol {name}" for name in re.findall(r"^(?:TROTH_CHECKED )?TROTH_API [^;(]*?(\w+)\(", text, re.M))


def check_numbers(library, cc, cxx):
    """Fails if a program that was built before would read another member, or find a function gone."""
    with open(LIST, encoding="utf-8") as f:
        kept = f.read().splitlines()
    now = exported(library) + numbers(cc, header())
    gone = [line for line in kept if line not in now]
    fresh = [line for line in now if line not in kept]
    if gone or fresh:
        raise AssertionError(f"changed or gone: {gone}\nnot in abi.txt: {fresh}\n(test_abi.py --write, where it is an addition)")


def check_symbols(library, cc, cxx):
    """Fails if the library exports what its header does not declare, or declares what it does not export."""
    if exported(library) != declared(header()):
        raise AssertionError(f"{set(exported(library)) ^ set(declared(header()))}")


def check_soname(library, cc, cxx):
    """Fails if programs are bound to a name that changes with every version."""
    said = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    if not re.search(r"SONAME.*\[libtroth\.so\.0\]", said):
        raise AssertionError(said)


def check_compilers(library, cc, cxx):
    """Fails if the header does not stand by itself in C99 or C++11, or if C11's or GNU's is needed for it."""
    source = '#include <troth.h>\nint main(void) { return troth_result_text(TROTH_OK) == 0; }\n'
    for compiler, language, standard in ((cc, "c", "c99"), (cxx, "c++", "c++11")):
        ran = compiled(compiler, (language, source), [f"-std={standard}", "-fsyntax-only"])
        if ran.returncode != 0:
            raise AssertionError(f"{standard}: {ran.stderr}")


def main():
    library, cc, cxx = sys.argv[1:4]
    if "--write" in sys.argv:
        with open(LIST, "w", encoding="utf-8") as f:
            f.write("\n".join(exported(library) + numbers(cc, header())) + "\n")
        return
    bad, checks = 0, [check_numbers, check_symbols, check_soname, check_compilers]
    for n, check in enumerate(checks, 1):
        try:
            check(library, cc, cxx)
            print(f"ok {n} - {check.__name__}: {check.__doc__}")
        except AssertionError as wrong:
            bad += 1
            print(f"not ok {n} - {check.__name__}: {check.__doc__}")
            print("\n".join(f"# {line}" for line in str(wrong).splitlines()))
    print(f"1..{len(checks)}")
    sys.exit(1 if bad else 0)


main()
