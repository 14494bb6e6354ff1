"""Makes the set of common passwords: common_passwords.py OUT.c DIR FILE…

Files are word lists, a word a line, UTF-8 or Latin-1. What is kept of a word is a 32-bit hash (FNV-1a)
of how src/features/account/common.c would write it, sorted: enough to look up, nothing to read.
"""
import os
import struct
import sys
import unicodedata

LEET = str.maketrans("0134578@$!", "oieastbasi")
SHORTEST = 4

out, directory = sys.argv[1], sys.argv[2]
os.makedirs(directory, exist_ok=True)


def text_of(path):
    with open(path, "rb") as f:
        data = f.read()
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def fnv(data):
    h = 0x811c9dc5
    for b in data:
        h = (h ^ b) * 0x01000193 & 0xffffffff
    return h


hashes = set()
for path in sys.argv[3:]:
    for line in text_of(path).splitlines():
        word = unicodedata.normalize("NFKC", line.strip()).casefold().translate(LEET)
        if len(word) >= SHORTEST and not line.startswith("#!"):
            hashes.add(fnv(word.encode()))
if len(hashes) < 10_000:
    sys.exit("common_passwords: the word lists are not there")

table = os.path.join(os.path.abspath(directory), "common.bin")
with open(table, "wb") as f:
    f.write(struct.pack(f"={len(hashes)}I", *sorted(hashes)))
with open(out, "w", encoding="utf-8") as f:
    f.write(f'''#include "features/account/common.h"
__asm__(".section .rodata\\n.balign 4\\ncommon_table: .incbin \\"{table}\\"\\n.previous\\n");
extern const uint32_t common_table[];
const uint32_t *const common_hashes = common_table;
const size_t common_count = {len(hashes)};
''')
