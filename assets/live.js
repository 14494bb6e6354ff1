// Pages that change by themselves: what is in [data-live] is fetched again when the server says "look again"
// (server-sent events), piece by piece, so that nobody loses their place. Every such page works without.
"use strict";

const SOON_MS = 5_000; // how often a page looks by itself while it waits for a device and nobody tells it
const PATIENCE_MS = 300_000; // and for how long

const live = document.querySelector("[data-live]");
const saying = document.querySelector("[data-live-say]");

const items = (root) => new Map([...root.querySelectorAll("[data-live-item]")].map((item) => [item.id, item]));

// Where in an item the keyboard is, to be found again in the new one.
function place(item) {
    const all = [...item.querySelectorAll("a, button, input, select, textarea, summary")];
    return all.indexOf(document.activeElement);
}

function exchange(item, fresh) {
    const at = place(item);
    item.replaceWith(fresh);
    if (at >= 0) {
        const again = fresh.querySelectorAll("a, button, input, select, textarea, summary");
        const target = again[Math.min(at, again.length - 1)] ?? fresh;
        if (target === fresh) {
            fresh.tabIndex = -1;
        }
        target.focus({ preventScroll: true });
    }
}

// Only what differs is exchanged; where pieces came or went, all of it.
function take(page) {
    const fresh = page.querySelector("[data-live]");
    if (!fresh) {
        return; // signed out meanwhile: the page stays as it is
    }
    const [before, after] = [items(live), items(fresh)];
    const said = [...after].filter(([id, item]) => item.dataset.say && item.dataset.say !== before.get(id)?.dataset.say);
    if ([...before.keys()].join() === [...after.keys()].join()) {
        for (const [id, item] of before) {
            if (item.outerHTML !== after.get(id).outerHTML) {
                exchange(item, after.get(id));
            }
        }
    } else {
        const focused = document.activeElement?.closest("[data-live-item]");
        const at = focused && live.contains(focused) ? place(focused) : -1;
        live.replaceChildren(...fresh.childNodes);
        if (at >= 0) {
            const item = document.getElementById(focused.id);
            item?.querySelectorAll("a, button, input, select, textarea, summary")[at]?.focus({ preventScroll: true });
        }
    }
    if (said.length > 0) {
        saying.textContent = said.map(([, item]) => item.dataset.say.replaceAll(/\s+/g, " ").trim()).join(" ");
    }
}

let busy = false, again = false;

async function look() {
    if (busy) {
        again = true;
        return;
    }
    busy = true;
    try {
        const answer = await fetch(live.dataset.live, { headers: { Accept: "text/html" } });
        if (answer.ok && !answer.redirected) {
            take(new DOMParser().parseFromString(await answer.text(), "text/html"));
        }
    } catch {
        // away for a moment: the next word is the next chance
    } finally {
        busy = false;
        if (again) {
            again = false;
            look();
        }
    }
}

if (live && saying) {
    let told = false;
    if (live.dataset.liveEvents && globalThis.EventSource) {
        const source = new EventSource(live.dataset.liveEvents);
        source.addEventListener("open", () => {
            told = true;
            look(); // what was said before, since the page was made, was not heard
        });
        source.addEventListener("message", look);
        source.addEventListener("error", () => { told = false; });
        window.addEventListener("pagehide", () => source.close());
    }
    window.addEventListener("pageshow", (event) => event.persisted && location.reload());
    const since = Date.now();
    const clock = setInterval(() => {
        if (Date.now() - since > PATIENCE_MS) {
            clearInterval(clock);
        } else if (!told && !document.hidden && live.querySelector(".waiting")) {
            look();
        }
    }, SOON_MS);
}
