// Small comforts. Every page works without them.
"use strict";

// A button that shows what is typed into a password field.
for (const input of document.querySelectorAll("input[data-password]")) {
    const box = document.createElement("span");
    const button = document.createElement("button");
    box.className = "password";
    button.type = "button";
    button.className = "password-show";
    button.textContent = input.dataset.password;
    button.setAttribute("aria-controls", input.id);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
        const show = input.type === "password";
        input.type = show ? "text" : "password";
        button.textContent = show ? input.dataset.passwordHide : input.dataset.password;
        button.setAttribute("aria-pressed", String(show));
        input.focus();
    });
    input.replaceWith(box);
    box.append(input, button);
}

// A button that copies a link.
for (const code of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) {
        break;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-second button-small";
    button.textContent = code.dataset.copy;
    button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = code.dataset.copied;
    });
    button.setAttribute("aria-live", "polite");
    code.after(" ", button);
}

// A form that was sent is not sent again by a second press.
for (const form of document.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", (event) => {
        if (form.dataset.sent) {
            event.preventDefault();
        }
        form.dataset.sent = "yes";
    });
}
window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) {
        delete form.dataset.sent;
    }
});

// The first field that is wrong is where a person goes on.
document.querySelector("[aria-invalid=true]")?.focus();
