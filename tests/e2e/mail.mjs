// Reads what the portal mails (RFC 5322, 2045, 2047): as much of it as the portal writes.

function unescape(text, charset) {
    const bytes = text.replace(/=\r?\n/g, "").replace(/=([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
    return new TextDecoder(charset, { fatal: true }).decode(Buffer.from(bytes, "latin1"));
}

function words(value) {
    return value
        .replace(/(\?=)\s+(=\?)/g, "$1$2") // between encoded words blanks do not count
        .replace(/=\?([\w-]+)\?([QB])\?([^?]*)\?=/gi, (_, charset, how, text) =>
            how.toUpperCase() === "Q" ? unescape(text.replaceAll("_", " "), charset)
                : new TextDecoder(charset, { fatal: true }).decode(Buffer.from(text, "base64")));
}

function split(text) {
    const at = text.search(/\r?\n\r?\n/);
    const headers = new Map();
    for (const line of text.slice(0, at).replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/)) {
        const colon = line.indexOf(":");
        headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    return { headers, body: text.slice(at).replace(/^\r?\n\r?\n/, "") };
}

function part(mail, type) {
    const boundary = /boundary="?([^";]+)/.exec(mail.headers.get("content-type"))[1];
    const parts = mail.body.split(`--${boundary}`).slice(1, -1).map((p) => split(p.replace(/^\r?\n/, "")));
    const found = parts.find((p) => p.headers.get("content-type").startsWith(type));
    const charset = /charset="?([\w-]+)/.exec(found.headers.get("content-type"))[1];
    const coding = found.headers.get("content-transfer-encoding");
    if (coding !== "quoted-printable") {
        throw new Error(`a mail's ${type} is ${coding}`);
    }
    return unescape(found.body, charset).replaceAll("\r\n", "\n");
}

export function readMail(bytes) {
    const mail = split(bytes);
    const text = part(mail, "text/plain");
    return {
        to: mail.headers.get("to"),
        subject: words(mail.headers.get("subject")),
        language: mail.headers.get("content-language"),
        headers: mail.headers,
        text,
        html: part(mail, "text/html"),
        link: /https?:\/\/\S+/.exec(text)?.[0],
    };
}
