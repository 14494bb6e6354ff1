// Passkeys: asks the browser for one, and sends its answer with the form it belongs to. Without this
// script, or where a browser has no passkeys, the page says so, and every other way stays open.
"use strict";

const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const toText = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const withBytes = (list) => list?.map((one) => ({ ...one, id: toBytes(one.id) }));

// What the portal asks, as the browser wants it.
async function options(form) {
    const body = new URLSearchParams({ csrf: form.elements.csrf.value });
    const answer = await fetch(form.dataset.passkeyOptions, { method: "POST", body, headers: { Accept: "application/json" } });
    if (!answer.ok) {
        throw new Error(`options: ${answer.status}`);
    }
    const asked = await answer.json();
    asked.challenge = toBytes(asked.challenge);
    if (asked.user) {
        asked.user.id = toBytes(asked.user.id);
        asked.excludeCredentials = withBytes(asked.excludeCredentials);
    }
    if (asked.allowCredentials) {
        asked.allowCredentials = withBytes(asked.allowCredentials);
    }
    return asked;
}

async function fillIn(form) {
    const { elements } = form;
    const publicKey = await options(form);
    if (form.dataset.passkey === "create") {
        const made = await navigator.credentials.create({ publicKey });
        elements.client_data.value = toText(made.response.clientDataJSON);
        elements.attestation.value = toText(made.response.attestationObject);
    } else {
        const got = await navigator.credentials.get({ publicKey });
        elements.credential.value = toText(got.rawId);
        elements.client_data.value = toText(got.response.clientDataJSON);
        elements.auth_data.value = toText(got.response.authenticatorData);
        elements.signature.value = toText(got.response.signature);
        elements.user_handle.value = got.response.userHandle ? toText(got.response.userHandle) : "";
    }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
    const failed = form.querySelector("[data-passkey-failed]");
    form.querySelector("[data-passkey-plain]").hidden = true; // what it says without this script
    if (!window.PublicKeyCredential || !window.isSecureContext) {
        form.querySelector("[data-passkey-cannot]").hidden = false;
        continue;
    }
    form.querySelector("[data-passkey-can]").hidden = false;
    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        failed.hidden = true;
        if (form.dataset.asking || !form.reportValidity()) {
            return;
        }
        form.dataset.asking = "yes";
        try {
            await fillIn(form);
            form.submit();
        } catch {
            failed.hidden = false; // the person said no, or has none here: both look alike, and should
            delete form.dataset.sent;
        } finally {
            delete form.dataset.asking;
        }
    });
}
