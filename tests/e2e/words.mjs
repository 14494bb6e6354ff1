// What the portal says, read from its .po files, so that a test asks for the words that people see.
// A text that one language lacks, has empty, or has in the other's words ends the run.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

// TROTH_TEST_LANGUAGE: that one alone, so that the two may be tried side by side.
const BOTH = ["en", "sv"];
export const LANGUAGES = process.env.TROTH_TEST_LANGUAGE ? [process.env.TROTH_TEST_LANGUAGE] : BOTH;

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), "../../src");

// Texts that are the same in both languages, rightly.
// Names of services are the same everywhere, and need not be.
const NAMES = /^service\./;
const ALIKE = /^(Version|Partner|App|Server|Connect API|Version \{version\}, .*|Text|Hash|Policy|[^\p{L}]*(\{\w+(\|\w+)?\}[^\p{L}]*)+)$/u;

function entries(text) {
    const found = new Map();
    const line = /^(msgid|msgid_plural|msgstr(?:\[\d\])?) "(.*)"$|^"(.*)"$/;
    let key = null, forms = null, at = null;
    for (const row of text.split("\n")) {
        const m = line.exec(row);
        if (m === null) {
            continue;
        }
        const said = (m[2] ?? m[3]).replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
        at = m[1] ?? at;
        if (m[1] === "msgid") {
            [key, forms] = ["", []];
        } else if (m[1]?.startsWith("msgstr")) {
            forms.push("");
        }
        if (at === "msgid") {
            key += said;
        } else if (at.startsWith("msgstr")) {
            forms[forms.length - 1] += said;
            found.set(key, forms);
        }
    }
    found.delete("");
    return found;
}

function poFiles(dir, name) {
    return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
        const path = join(dir, entry.name);
        return entry.isDirectory() ? poFiles(path, name) : entry.name === name ? [path] : [];
    });
}

function readLanguage(language) {
    return new Map(poFiles(SOURCES, `${language}.po`).flatMap((path) => [...entries(readFileSync(path, "utf8"))]));
}

const texts = Object.fromEntries(BOTH.map((l) => [l, readLanguage(l)]));

// What is wrong with the translations: a list of keys with the reason, empty when all is well.
export function untranslated() {
    const { en, sv } = texts;
    return [...new Set([...en.keys(), ...sv.keys()])].flatMap((key) => {
        const [a, b] = [en.get(key), sv.get(key)];
        return a === undefined || b === undefined ? [`${key}: one language lacks it`]
            : [...a, ...b].includes("") ? [`${key}: empty`]
                : a[0] === b[0] && !ALIKE.test(a[0]) && !NAMES.test(key) ? [`${key}: "${a[0]}" in both languages`] : [];
    });
}

const literal = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

// The words of one language. text(key, { name: value }) is a text with its values, links as their
// labels; like(key, values) a pattern in which values that are not given may be anything.
export function words(language) {
    const form = (key, values) => {
        const forms = texts[language].get(key);
        if (forms === undefined) {
            throw new Error(`no text ${key} in ${language}`);
        }
        return (forms[values.count === 1 || forms.length === 1 ? 0 : 1]).replace(/\[\[([^|]*)\|[^\]]*\]\]/g, "$1");
    };
    const text = (key, values = {}) => form(key, values).replace(/\{(\w+)(?:\|\w+)?\}/g, (_, name) => {
        if (values[name] === undefined) {
            throw new Error(`${key} needs a value for ${name}`);
        }
        return values[name];
    });
    const like = (key, values = {}) => {
        const pieces = form(key, values).split(/\{(\w+)(?:\|\w+)?\}/);
        return new RegExp(pieces.map((p, i) => (i % 2 === 0 ? literal(p) : literal(values[p] ?? "\0").replace("\0", ".+"))).join(""));
    };
    return { language, text, like };
}
