"""A checker that knows this project: what no compiler says. check.py [RULE…]; TAP on the output.

A rule takes the tree (path: text) and gives complaints, each "path:line: what is wrong". Each rule is
tried first on a small tree that breaks it and on one that does not: a rule that cannot fail checks
nothing. Exceptions stand in the lists below, each with its reason; one that is no longer used is a
complaint itself.
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Every room of src/ and every feature has a README.md. False: those without one are only listed.
README_REQUIRED = False

MAX_FUNCTION = 80
MAX_FILE = 900

# ---- exceptions: each with its reason ----

# What a room may include, beside itself.
LAYERS = {
    "base": [],
    "text": ["base"],
    "store": ["base"],
    "vault": ["base", "store"],
    "privacy": ["base", "text", "store", "vault"],
    "work": ["base", "text", "store", "vault", "privacy"],
    "web": ["base", "text", "store", "vault", "privacy"],
    "features": ["base", "text", "store", "vault", "privacy", "work", "web"],
    "client": [],  # runs in others' programs
    "cli": ["base", "text", "store", "vault", "privacy", "work", "web", "features"],
}

# Who may include what is inside a feature.
INSIDE = {
    "src/cli/cmd_demo.c": "hashes one password once, for all people of the demo",
    "src/cli/test_portal.c": "the same, for a test's",
    "src/cli/test_access.c": "the same, and their second steps",
    "src/cli/test_licenses.c": "lots, signing keys and the task of reminders, against a clock that moves",
}

# A library is known to the few files that hide it from the rest.
LIBRARIES = {
    "libpq-fe.h": ["src/store/postgres.c"],
    "sqlite3.h": ["src/store/sqlite.c"],
    "microhttpd.h": ["src/web/server_mhd.c"],
    "curl/": ["src/work/", "src/client/"],
    "gmime/": ["src/work/", "src/features/demo/"],  # the demo shows the mail that it sent
    "zip.h": ["src/privacy/takeout.c"],
    "yaml.h": ["src/base/yaml.c"],
    "jansson.h": ["src/base/json.h", "src/client/"],
    "unicode/": ["src/base/email.c", "src/text/"],
    "maxminddb.h": ["src/web/place.c"],
    "zxcvbn.h": ["src/features/account/password.c"],
    "liboath/": ["src/features/factors/", "src/cli/test_access.c"],
    "fido": ["src/features/factors/"],
    "cbor.h": ["src/features/factors/"],
    "qrencode.h": ["src/web/qr.c"],
    "openssl/": ["src/features/"],
    "sodium.h": ["src/"],
}

# A function that is not to be called: why, and who may all the same.
TEXT = "has no end: memcpy with a length, snprintf, str_fmt"
HEAP = "memory comes from an arena"
BANNED = {
    "strcpy stpcpy strcat strncat strncpy sprintf vsprintf gets": (TEXT, {}),
    "strtok strtok_r": ("writes into what it reads: str_cut", {}),
    "scanf sscanf fscanf": ("reads more than is meant: str_to_int", {
        "src/text/template.c": "a double that it has itself written, back"}),
    "atoi atol atoll atof strtol strtoll strtoul": ("takes what is no number: str_to_int", {}),
    "system popen execl execlp execle execv execvp execvpe execve fork vfork": ("starts programs", {
        "src/features/account/hasher.c": "the child that hashes is this program"}),
    "time gettimeofday clock_gettime": ("the time comes from one clock (base/clock.h)", {
        "src/base/clock.c": "that clock",
        "src/client/os.c": "that of the library, which has no base",
        "src/store/db.c": "pthread_cond_timedwait wants the system's, for a wait of milliseconds",
        "src/work/work.c": "pthread_cond_timedwait wants the system's, for a wait of seconds"}),
    "localtime localtime_r gmtime gmtime_r mktime timegm strftime ctime asctime": ("calendars are base/calendar.h and ICU", {
        "src/client/agent/talk.c": "its log; it has neither"}),
    "rand srand random srandom rand_r drand48 getrandom": ("randomness is libsodium's", {}),
    "sleep usleep": ("nobody waits for a time to pass: conditions do", {}),
    "exit _exit quick_exit atexit": ("only main ends the program", {
        "src/features/account/hasher.c": "the child that hashes ends itself"}),
    "abort": ("assert says where", {
        "src/base/arena.c": "no memory is left to say it otherwise"}),
    "alloca strdupa": ("a stack has no bounds", {}),
    "tmpnam mktemp tempnam": ("another may come first", {}),
    "signal": ("sigaction, and only in main", {
        "src/cli/main.c": "SIGPIPE is ignored once, before any thread",
        "src/features/account/hasher.c": "the child leaves the end to its parent, before its threads"}),
    "getenv secure_getenv setenv putenv": ("settings come from cli/config.c", {
        "src/cli/config.c": "systemd's CREDENTIALS_DIRECTORY",
        "src/client/agent/options.c": "where a person's files lie, and their language",
        "src/client/agent/sandbox.c": "HOME, which is never wiped",
        "src/cli/main.c": "TROTH_CONFIG",
        "src/cli/cmd_serve.c": "systemd's NOTIFY_SOCKET"}),
    "printf fprintf vprintf vfprintf puts perror": ("libraries return; they do not speak", {
        "src/cli/": "commands speak",
        "src/base/arena.c": "the last word before abort"}),
    "malloc calloc realloc strdup strndup asprintf vasprintf free": (HEAP, {
        "src/base/arena.c": "where arenas come from",
        "src/client/": "runs in others' programs, which may run out of memory and live",
        "src/cli/control.c": "lives as long as its thread, longer than any request",
        "src/features/account/password.c": "the hasher lives as long as the process",
        "src/features/account/hasher.c": "the same, and its child",
        "src/privacy/policy_read.c": "a cache of published policies, whose entries come and go",
        "src/store/postgres.c": "connections, which outlive what asked for them",
        "src/store/sqlite.c": "connections, which outlive what asked for them",
        "src/text/format.c": "formatters are kept for all threads",
        "src/vault/vault.c": "lives as long as the process",
        "src/web/limits.c": "lives as long as the process",
        "src/web/place.c": "lives as long as the process",
        "src/features/factors/totp.c": "liboath's text",
        "src/web/server_mhd.c": "the library frees when it likes, not when a request ends",
        "src/work/work.c": "lives as long as the process"}),
}

# Objects at file scope, or static in a function, that can change.
GLOBALS = {
    "src/vault/vault.c": "the keyring's own tables: struct table points to what it may change, and nobody does",
    "src/cli/main.c": "the process's one clock, made in main and handed down",
}

# Who may hand SQL to tx_query() that is no literal: composed of names that records.yaml declares.
COMPOSED_SQL = {
    "src/store/db.h": "SQL() itself",
    "src/store/db.c": "tx_query() itself",
    "src/privacy/enrolment.c": "one table for each service that is joined",
    "src/privacy/erasure.c": "deletes from each declared table",
    "src/privacy/lookup.c": "one table for each declared lookup",
    "src/privacy/rights.c": "reads the country that a subject's record declares",
    "src/privacy/retention.c": "compiled from the keep rules",
    "src/privacy/takeout.c": "reads each declared table",
    "src/privacy/verify.c": "asks each declared table",
}

# The first part of keys that are put together: "takeout.choice-", for a field's choices.
PREFIXED = re.compile(r"^[a-z][a-z0-9-]*(\.[a-z0-9-]+)*[.-]$")

# ---- reading C ----


def plain(text, strings=False):
    """C without comments, and without strings unless they are wanted; every line where it was."""
    def blank(m):
        s = m.group(0)
        if s.startswith("/"):
            return re.sub(r"[^\n]", " ", s)
        if strings:
            return s
        return s[0] + re.sub(r"[^\n]", " ", s[1:-1]) + s[-1]
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def code(text, strings=False):
    """... and without the preprocessor's lines."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), plain(text, strings), flags=re.M)


def line_at(text, at):
    return text.count("\n", 0, at) + 1


def top_level(text):
    """(head, start, body, end) of each declaration at file scope; body is -1 where there is none."""
    out, depth, start, body = [], 0, 0, -1
    for i, c in enumerate(text):
        if c in "({[":
            if c == "{" and depth == 0:
                body = i
            depth += 1
        elif c in ")}]":
            depth -= 1
            if c == "}" and depth == 0 and is_function(text[start:body]):
                out.append((text[start:body], start, body, i))
                start, body = i + 1, -1
        elif c == ";" and depth == 0:
            out.append((text[start:body] if body >= 0 else text[start:i], start, body, i))
            start, body = i + 1, -1
    return [(head.strip(), start + len(head) - len(head.lstrip()), body, end) for head, start, body, end in out]


def is_function(head):
    return head.rstrip().endswith(")") and "=" not in head and not head.lstrip().startswith("typedef")


def changes(declaration):
    """Can the object that this declares be changed? Not if it, the pointer itself, is const."""
    d = re.sub(r"\s+", " ", declaration)
    pointer = re.match(r"[^(]*\(\s*\*([^)]*)\)", d)  # to a function
    if pointer:
        return "const" not in pointer.group(1)
    if "*" in d:
        return not d.rsplit("*", 1)[1].strip().startswith("const ")
    return not re.search(r"\b(const|constexpr)\b", d)


def without_braces(text):
    while "{" in text:
        text, before = re.sub(r"\{[^{}]*\}", "", text), text
        if text == before:
            break
    return re.sub(r"\s+", " ", text)


def sources(tree, tests=False):
    for path, text in tree.items():
        if path.startswith("src/") and path.endswith((".c", ".h")) and (tests or not is_test(path)):
            yield path, text


def is_test(path):
    name = os.path.basename(path)
    return name.startswith(("test_", "fuzz_")) or path.startswith("src/store/testing.")


def room(path):
    return path.split("/")[1]


def unused(table, used, whose):
    return [f"tools/check.py:1: {path} needs no exception any more ({whose})" for path in table if path not in used]


def allowed(path, exceptions, used):
    for place in exceptions:
        if path == place or (place.endswith("/") and path.startswith(place)):
            used.add(place)
            return True
    return False


# ---- the rules: code ----


def feature_of(path):
    parts = path.split("/")
    return parts[2] if len(parts) > 3 and parts[1] == "features" else None


def rule_layers(tree):
    """Nothing points back; a feature is met at its one public header; insides stay inside."""
    wrong, used = [], set()
    for path, text in sources(tree, tests=True):
        for m in re.finditer(r'^\s*#\s*include\s+"([^"]+)"', plain(text, strings=True), re.M):
            at, to = f"{path}:{line_at(text, m.start())}", m.group(1)
            target = "src/" + to
            there = to.split("/")[0]
            if target not in tree:
                wrong.append(f"{at}: {to}: headers are named from src/, and there is no such one")
            elif there != room(path) and there not in LAYERS.get(room(path), []):
                wrong.append(f"{at}: {room(path)} may not include {there}")
            else:
                mine, theirs = feature_of(path), feature_of(target)
                if theirs and theirs != mine and to != f"features/{theirs}/{theirs}.h":
                    if not allowed(path, INSIDE, used):
                        wrong.append(f"{at}: of {theirs} others may include features/{theirs}/{theirs}.h alone")
                elif there != room(path) and re.match(r"\s*/\*\s*Inside ", tree[target]):
                    wrong.append(f"{at}: {to} is inside {there}")
    return wrong + unused(INSIDE, used, "insides of features")


def rule_libraries(tree):
    """A library is named by the few files that hide it, so that it can be exchanged."""
    wrong = []
    for path, text in sources(tree):
        for m in re.finditer(r"^\s*#\s*include\s+<([^>]+)>", plain(text), re.M):
            for library, places in LIBRARIES.items():
                if m.group(1).startswith(library) and not path.startswith(tuple(places)):
                    wrong.append(f"{path}:{line_at(text, m.start())}: <{m.group(1)}> belongs to {', '.join(places)}")
    return wrong


def rule_banned(tree):
    """Functions that are not to be called, and goto."""
    calls = {name: (names, why, but) for names, (why, but) in BANNED.items() for name in names.split()}
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(calls) + r")\s*\(|\b(goto)\b")
    wrong, used = [], {names: set() for names in BANNED}
    for path, text in sources(tree):
        bare = plain(text)
        for m in pattern.finditer(bare):
            if m.group(2):
                wrong.append(f"{path}:{line_at(bare, m.start())}: goto: CLEANUP and TRY do it")
                continue
            names, why, but = calls[m.group(1)]
            if not allowed(path, but, used[names]):
                wrong.append(f"{path}:{line_at(bare, m.start())}: {m.group(1)}: {why}")
    for names, (_, but) in BANNED.items():
        wrong += unused(but, used[names], names.split()[0])
    return wrong


def rule_globals(tree):
    """Nothing outside a function changes: what must is in struct portal."""
    wrong, used = [], set()
    for path, text in sources(tree):
        bare = code(text)
        found = []
        for head, start, body, end in top_level(bare):
            if is_function(head) and body >= 0:
                inside = bare[body:end]
                found += [(body + m.start(), m.group()) for m in re.finditer(r"\b(static|_Thread_local)\b[^;={}]*", inside) if changes(m.group())]
                continue
            declared = without_braces(bare[start:end]).split("=")[0].strip()
            if re.match(r"(typedef|_Static_assert|static_assert|__asm__)\b|(struct|enum|union)( \w+)?$|\w*$", declared):
                continue  # a type
            if re.match(r"[^(]*\w\s*\((?!\s*\*)", declared):
                continue  # a prototype, or a macro's use
            if changes(declared):
                found.append((start, declared))
        for at, declared in found:
            if not allowed(path, GLOBALS, used):
                wrong.append(f"{path}:{line_at(bare, at)}: {' '.join(declared.split())} can change")
    return wrong + unused(GLOBALS, used, "mutable globals")


def rule_sql(tree):
    """SQL is a literal; only the listed compose it, of declared names."""
    wrong, used = [], set()
    for path, text in sources(tree):
        for m in re.finditer(r"\btx_query\s*\(", code(text) if path.endswith(".c") else plain(text)):
            if not allowed(path, COMPOSED_SQL, used):
                wrong.append(f"{path}:{line_at(text, m.start())}: tx_query: SQL() takes the literal")
    return wrong + unused(COMPOSED_SQL, used, "composed SQL")


def rule_length(tree):
    """A function is one thought, a file one thing. Tests are as long as what they test."""
    wrong = []
    for path, text in sources(tree):
        lines = text.count("\n")
        if lines > MAX_FILE:
            wrong.append(f"{path}:{MAX_FILE}: {lines} lines; {MAX_FILE} at most")
        bare = code(text)
        for head, start, body, end in top_level(bare):
            n = line_at(bare, end) - line_at(bare, start) + 1
            if body >= 0 and is_function(head) and n > MAX_FUNCTION:
                name = re.search(r"(\w+) *\(", head).group(1)
                wrong.append(f"{path}:{line_at(bare, start)}: {name}() has {n} lines; {MAX_FUNCTION} at most")
    return wrong


def rule_built(tree):
    """A file that no meson.build names is compiled by nobody, and its tests run never."""
    wrong = []
    named = {}
    for path, text in tree.items():
        if os.path.basename(path) == "meson.build":
            named[os.path.dirname(path)] = set(re.findall(r"'([^']+\.c)'", text))
            if path == "src/features/meson.build":
                for feature, files in re.findall(r"'(\w+)':\s*\[([^\]]*)\]", text):
                    named.setdefault(f"src/features/{feature}", set()).update(re.findall(r"'([^']+\.c)'", files))
                for feature, file in re.findall(r"'(\w+)/([^'/]+\.c)'", text):
                    named.setdefault(f"src/features/{feature}", set()).add(file)
    for path, _ in sources(tree, tests=True):
        folder, name = os.path.split(path)
        if path.endswith(".c") and name not in named.get(folder, set()):
            wrong.append(f"{path}:1: no meson.build names it")
    return wrong


# ---- the rules: texts ----


def read_po(text):
    """{key: (line, [texts])}, and complaints about the file itself: [(line, what)]."""
    found, wrong, key, at, n = {}, [], None, None, 0
    for n, row in enumerate(text.split("\n"), 1):
        if row.startswith("#,") and "fuzzy" in row:
            wrong.append((n, "fuzzy"))
        m = re.match(r'(?:(msgid_plural|msgid|msgstr(?:\[\d\])?|msgctxt) )?"(.*)"$', row)
        if not m:
            continue
        word, said = m.group(1) or at, m.group(2)
        if m.group(1) == "msgid":
            key = said
            if key in found:
                wrong.append((n, f"{key} stands here twice"))
            found[key] = (n, [])
        elif word == "msgid" and key is not None:
            texts = found.pop(key)
            key += said
            found[key] = texts
        elif m.group(1) and word.startswith("msgstr"):
            found[key][1].append(said)
        elif word and word.startswith("msgstr"):
            found[key][1][-1] += said
        at = word
    found.pop("", None)
    return found, wrong


def catalogs(tree):
    """{language: {key: (path, line, texts)}}, and complaints."""
    languages, wrong = {"en": {}, "sv": {}}, []
    for path, text in tree.items():
        m = re.match(r"src/.*/locale/(\w+)\.po$", path)
        if not m:
            continue
        if m.group(1) not in languages:
            wrong.append(f"{path}:1: a language that the portal does not have")
            continue
        found, bad = read_po(text)
        wrong += [f"{path}:{n}: {what}" for n, what in bad]
        for key, (n, texts) in found.items():
            if key in languages[m.group(1)]:
                wrong.append(f"{path}:{n}: {key} stands in {languages[m.group(1)][key][0]} too")
            languages[m.group(1)][key] = (path, n, texts)
    return languages, wrong


def slots(text):
    """What a text refers to: its values with their formats, and its links."""
    return sorted(set(re.findall(r"\{\w+(?:\|\w+)?\}", text)) | {m for m in re.findall(r"\[\[[^|\]]*\|([^\]]*)\]\]", text)})


def rule_languages(tree):
    """English and Swedish say the same keys, each something, with the same values in it."""
    languages, wrong = catalogs(tree)
    for one, other in (("en", "sv"), ("sv", "en")):
        for key, (path, n, texts) in languages[one].items():
            if key not in languages[other]:
                wrong.append(f"{path}:{n}: {key} is missing in {other}")
            if "" in texts or not texts:
                wrong.append(f"{path}:{n}: {key} says nothing")
            elif one == "sv" and key in languages["en"] and texts:
                mine, theirs = slots(texts[-1]), slots((languages["en"][key][2] or [""])[-1])
                if mine != theirs:
                    wrong.append(f"{path}:{n}: {key} has {mine}, English {theirs}")
    return wrong


def declared_names(tree):
    """Every name that a records.yaml declares, and the words of its values; and those of the protocol."""
    names = set()
    for path, text in tree.items():
        if path.startswith("src/") and path.endswith(("records.yaml", "openapi.yaml")):
            bare = re.sub(r"#.*", "", text)
            names |= set(re.findall(r"[a-z][\w.-]*", bare))
    return names


def worded(tree):
    """What fields say of their values: patterns of keys ("event.*")."""
    found = set()
    for path, text in tree.items():
        if path.startswith("src/") and path.endswith("records.yaml"):
            found |= set(re.findall(r"\bwords: ([a-z0-9.*-]+)", text))
    return [re.compile("^" + re.escape(w).replace(r"\*", "[a-z0-9-]+") + "$") for w in sorted(found)]


def mentioned(tree):
    """(keys that code and views name: {key: place}, literals, formats, prefixes: {prefix: place})."""
    keys, literals, formats, prefixes = {}, set(), set(), {}
    for path, text in sources(tree):
        bare = plain(text, strings=True)
        for m in re.finditer(r'\bMSG\(\s*"([^"]*)"\s*\)', bare):
            where = prefixes if PREFIXED.match(m.group(1)) else keys
            where.setdefault(m.group(1), f"{path}:{line_at(bare, m.start())}")
        for m in re.finditer(r"[?&]done=([a-z-]+)", bare):
            keys.setdefault(f"done.{m.group(1)}", f"{path}:{line_at(bare, m.start())}")
        for m in re.finditer(r"\brefuse\(\w+, (\d{3})", bare):
            keys.setdefault(f"problem.{m.group(1)}", f"{path}:{line_at(bare, m.start())}")
        for literal in re.findall(r'"((?:\\.|[^"\\\n])*)"', bare):
            literals.add(literal)
            if re.match(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*\.%", literal):
                formats.add(literal)
        literals |= {m for m in re.findall(r"\b\d{3}\b", bare)}
    for path, text in tree.items():
        if re.match(r"src/.*/views/.*\.(html|txt)$", path):
            for m in re.finditer(r"\{\{_([^*}]+)\}\}", text):
                keys.setdefault(m.group(1).strip(), f"{path}:{line_at(text, m.start())}")
    return keys, literals, formats, prefixes


def rule_keys(tree):
    """Every text that is named is there, in both languages; and every text that is there is named."""
    languages, _ = catalogs(tree)
    keys, literals, formats, prefixes = mentioned(tree)
    wrong = []
    for key, place in keys.items():
        for language, texts in languages.items():
            if key not in texts:
                wrong.append(f"{place}: {key} has no text ({language})")
    for prefix, place in prefixes.items():
        if not any(key.startswith(prefix) for key in languages["en"]):
            wrong.append(f"{place}: {prefix} begins no text")
    names = literals | declared_names(tree) | {m for l in literals for m in re.findall(r"[?&]done=([a-z-]+)", l)}
    patterns = [re.compile("^" + re.sub(r"%(?:\\\.\\\*)?s", r"(.+?)", re.escape(f)).replace("%d", r"(\d+)") + "$") for f in sorted(formats)]
    numbered = {m.group(1) for l in literals for m in [re.match(r"^([a-z]+)%d$", l)] if m}

    def is_named(piece):
        m = re.match(r"([a-z]*)(\d+)$", piece)
        if piece in names:
            return True
        if "." in piece:
            return all(is_named(p) for p in piece.split("."))
        return piece in names or bool(m and not m.group(1) and len(piece) < 3) or bool(m and m.group(1) in numbered)
    worded_patterns = worded(tree)
    for key, (path, n, _) in languages["en"].items():
        composed = any(m and all(is_named(p) for p in m.groups()) for m in (p.match(key) for p in patterns))
        chosen = any(key.startswith(p) and key[len(p):] in literals for p in prefixes)
        said = any(p.match(key) for p in worded_patterns)
        if not (key in keys or key in literals or composed or chosen or said):
            wrong.append(f"{path}:{n}: {key}: nothing names it")
    return wrong


# ---- the rules: everything ----

BINARY = (".png", ".ico", ".woff2", ".zip", ".gz")
FOREIGN = ("tests/mustache/", "tests/fuzz/corpus/", "tests/fuzz/regressions/")


def ours(tree):
    for path, text in tree.items():
        if not path.startswith(FOREIGN) and not path.endswith(BINARY):
            yield path, text


def rule_left_undone(tree):
    """What is to be done is done, or is an issue; not a note in the code."""
    notes = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
    return [f"{path}:{line_at(text, m.start())}: {m.group(1)}" for path, text in ours(tree) for m in notes.finditer(text)]


def rule_blanks(tree):
    """No blanks at a line's end (but of a mail's "-- "), no tabs, a newline at the end."""
    wrong = []
    for path, text in ours(tree):
        for n, row in enumerate(text.split("\n"), 1):
            if row != row.rstrip() and row != "-- ":
                wrong.append(f"{path}:{n}: a blank at the line's end")
            if "\t" in row and path.endswith((".c", ".h", ".py", ".mjs", ".js", ".css", ".html", ".yaml", ".md", ".po")):
                wrong.append(f"{path}:{n}: a tab")
        if text and not text.endswith("\n"):
            wrong.append(f"{path}:{line_at(text, len(text))}: no newline at the end")
    return wrong


def without_readme(tree):
    folders = {f"src/{room(p)}" for p, _ in sources(tree)} | {f"src/features/{feature_of(p)}" for p, _ in sources(tree) if feature_of(p)}
    return sorted(f for f in folders if f"{f}/README.md" not in tree)


def rule_readme(tree):
    """Every room has a page that says what it promises and what it may not do."""
    return [f"{folder}:1: no README.md" for folder in without_readme(tree)]


def rule_shell(tree):
    """Scripts are whole (sh -n), stop at the first failure, and say what they do."""
    wrong = []
    for path, text in ours(tree):
        if not text.startswith("#!/bin/sh"):
            continue
        said = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True)
        wrong += [f"{path}:1: {row}" for row in said.stderr.splitlines()]
        if not re.search(r"^set -eu$", text, re.M):
            wrong.append(f"{path}:1: no set -eu")
        if path.startswith("script/") and not re.match(r"#!/bin/sh\n# " + re.escape(os.path.basename(path)) + r"\b", text):
            wrong.append(f"{path}:2: it does not say what it does")
    return wrong


def anchors(text):
    """The names of a page's headings, as the usual renderers make them."""
    heads = re.findall(r"^#+ +(.*?) *#*$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", h.lower())).replace(" ", "-") for h in heads}


def rule_links(tree):
    """A link of the documents leads to a file that is there, and to a heading of it."""
    wrong = []
    folders = {"/".join(p.split("/")[:i]) for p in tree for i in range(1, p.count("/") + 1)}
    for path, text in ours(tree):
        if not path.endswith(".md"):
            continue
        bare = re.sub(r"^```.*?^```|`[^`\n]*`", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S | re.M)
        for m in re.finditer(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|^\[[^\]]+\]: +(\S+)", bare, re.M):
            link = m.group(1) or m.group(2)
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            to = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            place = f"{path}:{line_at(bare, m.start())}"
            if to not in tree and to not in folders and to != ".":
                wrong.append(f"{place}: {link} leads nowhere")
            elif anchor and to.endswith(".md") and anchor not in anchors(tree[to]):
                wrong.append(f"{place}: {link}: no such heading")
    return wrong


# ---- each rule on small trees: ({path: text} that is right, [{path: text} that is wrong …]) ----

HEADER = {"src/store/db.h": "/* SQL. */\n", "src/base/str.h": "/* Slices. */\n", "src/web/internal.h": "/* Inside web. */\n",
          "src/features/a/a.h": "/* What a offers. */\n", "src/features/a/model.h": "/* Inside a. */\n", "src/features/feature.h": "/* F. */\n"}


def includes(path, *headers):
    return {**HEADER, path: "".join(f'#include "{h}"\n' for h in headers)}


def po(*pairs):
    return 'msgid ""\nmsgstr "Language: x\\n"\n' + "".join(f'\nmsgid "{k}"\nmsgstr "{v}"\n' for k, v in pairs)


def texts(en, sv, **files):
    return {"src/a/locale/en.po": po(*en), "src/a/locale/sv.po": po(*sv), **{k.replace("__", "/").replace("_DOT_", "."): v for k, v in files.items()}}


ONE = [("a.b", "One {x}")]
EN_SV = (ONE, [("a.b", "Ett {x}")])

TRIED = {
    rule_layers: (
        {**includes("src/features/b/b.c", "store/db.h", "features/feature.h", "features/a/a.h"), "src/features/a/a.c": '#include "features/a/model.h"\n'},
        [includes("src/store/db.c", "web/internal.h"), includes("src/base/str.c", "store/db.h"), includes("src/features/b/b.c", "features/a/model.h"),
         includes("src/cli/main.c", "features/a/model.h"), includes("src/features/b/b.c", "web/internal.h"), includes("src/store/db.c", "db.h"),
         includes("src/base/test_base.c", "store/db.h")]),
    rule_libraries: (
        {"src/store/sqlite.c": "#include <sqlite3.h>\n", "src/work/smtp.c": "#include <curl/curl.h>\n"},
        [{"src/privacy/erasure.c": "#include <sqlite3.h>\n"}, {"src/web/web.c": "#include <curl/curl.h>\n"}]),
    rule_banned: (
        {"src/web/a.c": '/* time(NULL) */ const char *s = "strcpy("; x->time(3); a.free(b); my_system(1);\n'},
        [{"src/web/a.c": f"void f(void)\n{{\n    {call};\n}}\n"} for call in
         ("strcpy(a, b)", "time(NULL)", "system (s)", "x = malloc(3)", "goto end", 'printf("a")', "if (atoi(x))")]),
    rule_globals: (
        {"src/web/a.c": "static const int a[] = {1, 2};\nconst char *const b = x;\nstatic int f(int x);\ntypedef struct { int a; } t;\n"
                        "static enum err (*const table[])(int) = {f};\nextern const struct feature *const features[];\nstruct s {\n    int a;\n};\nenum { A = 1 };\n"
                        "static int f(int x)\n{\n    static const char *const names[] = {\"a\"};\n    static const struct { int a; } rows[] = {{1}};\n    int y = x;\n    return y;\n}\n"},
        [{"src/web/a.c": s + "\n"} for s in
         ("static int n;", "int n = 3;", "static const char *s = x;", "extern int n;", "static struct column c[] = {{1}};", "static enum err (*hook)(int) = f;",
          "int f(void)\n{\n    static int n;\n    return n++;\n}", "_Thread_local int n;", "struct s {\n    int a;\n} s;")]),
    rule_sql: (
        {"src/privacy/takeout.c": "q = tx_query(tx, s);\n", "src/web/a.c": 'q = SQL(tx, "SELECT 1");\n'},
        [{"src/web/a.c": "q = tx_query(tx, s);\n"}]),
    rule_length: (
        {"src/web/a.c": "int f(void)\n{\n" + "    x();\n" * (MAX_FUNCTION - 3) + "}\n", "src/web/test_a.c": "int x;\n" * 2000},
        [{"src/web/a.c": "int f(void)\n{\n" + "    x();\n" * (MAX_FUNCTION - 2) + "}\n"}, {"src/web/a.c": "int x(int);\n" * (MAX_FILE + 1)}]),
    rule_built: (
        {"src/a/b.c": "\n", "src/a/meson.build": "lib('b.c')\n", "src/features/meson.build": "features = {\n  'f': ['g.c'],\n}\n", "src/features/f/g.c": "\n"},
        [{"src/a/test_b.c": "\n", "src/a/meson.build": "lib('b.c')\n"}, {"src/features/meson.build": "features = {\n  'f': ['g.c'],\n}\n", "src/features/f/h.c": "\n"}]),
    rule_languages: (
        texts(*EN_SV),
        [texts(ONE, []), texts([], ONE), texts(ONE, [("a.b", "")]), texts(ONE, [("a.b", "Ett {y}")]), texts(ONE, ONE + ONE),
         {**texts(*EN_SV), "src/b/locale/en.po": po(*ONE)}, {**texts(*EN_SV), "src/a/locale/de.po": po(*ONE)},
         texts([("a.b", "[[There|/x]]")], [("a.b", "[[Där|/y]]")])]),
    rule_keys: (
        texts(ONE + [("a.c", "x"), ("way.by-post", "x"), ("mail.hello.p1", "x"), ("done.saved", "x"), ("problem.404", "x"), ("field.r.f", "x"), ("pick.me", "x")],
              ONE + [("a.c", "x"), ("way.by-post", "x"), ("mail.hello.p1", "x"), ("done.saved", "x"), ("problem.404", "x"), ("field.r.f", "x"), ("pick.me", "x")],
              src__a__x_DOT_c='f(MSG("a.b"), "way.%.*s", "by-post", "mail.%s.%s", "hello", "p%d", "/x?done=saved", "field.%.*s.%.*s", MSG("pick."), "me", "problem.%d");\n'
                              'refuse(x, 404, 1);\nf("done.%s");\n',
              src__a__views__y_DOT_html="{{_a.c}}\n", src__a__records_DOT_yaml="service: s\nrecords:\n  r:\n    fields:\n      f: {type: text}\n"),
        [texts(*EN_SV), texts([], [], src__a__x_DOT_c='f(MSG("a.b"));\n'), texts([], [], src__a__views__y_DOT_html="{{_a.b}}\n"),
         texts([], [], src__a__x_DOT_c='see("/x?done=saved");\n'), texts([], [], src__a__x_DOT_c="refuse(x, 404, 1);\n"),
         texts([], [], src__a__x_DOT_c='f(MSG("pick."), "me");\n'),
         texts([("way.by-post", "x")], [], src__a__x_DOT_c='f("way.%.*s");\n'), texts(ONE, [], src__a__x_DOT_c='f(MSG("a.b"));\n')]),
    rule_left_undone: ({"a.c": 'mkdtemp("/tmp/a-' + "X" * 6 + '"); // done\n'}, [{"a.c": "/* TO" + "DO: later */\n"}, {"a.md": "FIX" + "ME\n"}]),
    rule_blanks: ({"a.txt": "-- \nTroth\n"}, [{"a.c": "int a; \n"}, {"a.c": "\tint a;\n"}, {"a.md": "end"}, {"a.po": "a\r\n"}]),
    rule_readme: ({"src/a/b.c": "\n", "src/a/README.md": "# a\n"}, [{"src/a/b.c": "\n"}, {**{"src/features/f/g.c": "\n"}, "src/features/README.md": "\n"}]),
    rule_shell: (
        {"script/a": "#!/bin/sh\n# a: does.\nset -eu\n"},
        [{"script/a": "#!/bin/sh\n# a: does.\nset -eu\nif true; then\n"}, {"script/a": "#!/bin/sh\n# a: does.\n"}, {"script/a": "#!/bin/sh\nset -eu\n"}]),
    rule_links: (
        {"docs/a.md": "[b](../b.md#the-end), [c](https://x/y), `[d](e)`, [f](../docs)\n", "b.md": "# The `end`\n"},
        [{"docs/a.md": "[b](b.md)\n"}, {"a.md": "[b](#no)\n# Yes\n"}, {"a.md": "[x]: nothing.md\n"}]),
}


def try_rule(rule):
    """What the trial finds wrong with the rule itself. (Exceptions that are not used are not its matter.)"""
    good, bad = TRIED[rule]
    def complaints(tree):
        return [c for c in rule(tree) if not c.startswith("tools/check.py")]
    wrong = [f"complains of what is right: {c}" for c in complaints(good)]
    return wrong + [f"does not see what is wrong in tree {i + 1}" for i, tree in enumerate(bad) if not complaints(tree)]


# ---- running ----


def read_tree():
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True)
    if listed.returncode == 0:
        paths = listed.stdout.decode().split("\0")
    else:  # no clone: what lies there, but for what is built
        paths = [os.path.relpath(os.path.join(d, f), ROOT) for d, dirs, files in os.walk(ROOT)
                 if not dirs.__setitem__(slice(None), [x for x in dirs if x not in ("build", "var", "node_modules", "__pycache__", ".git")]) for f in files]
    tree = {}
    for path in sorted(p for p in paths if p):
        full = os.path.join(ROOT, path)
        if os.path.isfile(full) and not os.path.islink(full):
            with open(full, encoding="utf-8", errors="surrogateescape", newline="") as f:
                tree[path] = f.read()
    return tree


def main():
    rules = {r.__name__[5:]: r for r in TRIED}
    wanted = sys.argv[1:] or list(rules)
    for name in wanted:
        if name not in rules:
            sys.exit(f"usage: check.py [{'|'.join(rules)} …]")
    tree, n, bad = read_tree(), 0, 0

    def say(title, wrong):
        nonlocal n, bad
        n += 1
        bad += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {n} - {title}")
        for row in wrong:
            print(f"# {row}".encode("utf-8", "replace").decode())
    for name in wanted:
        rule = rules[name]
        say(f"{name}: the rule tells right from wrong", try_rule(rule))
        wrong = rule(tree)
        if rule is rule_readme and not README_REQUIRED:
            print("".join(f"# {row} (not required yet)\n" for row in wrong), end="")
            wrong = []
        say(f"{name}: {' '.join(rule.__doc__.split())}", wrong)
    print(f"1..{n}")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
