// The proof of work: ALTCHA's widget, in our words, computing in a worker of our own origin.
const box = document.querySelector("[data-captcha]");
const { captcha: worker, label, busy, done, failed } = box.dataset;
const language = document.documentElement.lang;

// It works where cryptography does: not on plain HTTP away from this machine. The question stays then.
if (globalThis.isSecureContext && globalThis.$altcha) {
    $altcha.algorithms.set("PBKDF2/SHA-256", () => new Worker(worker));
    $altcha.i18n.set(language, {
        ...$altcha.i18n.get("en"),
        label, verifying: busy, verified: done, error: failed, expired: failed, waitAlert: busy,
        verificationRequired: label, loading: busy,
    });
    const widget = document.createElement("altcha-widget");
    for (const [name, value] of Object.entries({
        challenge: "/captcha/challenge", name: "altcha", language, auto: "off", type: "native",
        configuration: JSON.stringify({ hideLogo: true, hideFooter: true, humanInteractionSignature: false }),
    })) {
        widget.setAttribute(name, value);
    }
    box.append(widget);
    box.closest("fieldset").querySelector("details")?.removeAttribute("open");
}
