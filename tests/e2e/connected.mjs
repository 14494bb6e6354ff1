// An installed app at the Connect API: connects with a one-time password, reports, does what it is asked.
import { request as plain } from "node:http";
import { request as secure } from "node:https";

const FACTS = { type: "laptop", os_type: "Debian GNU/Linux", os_version: "12" };
const NOTHING = { type: "none", status: "none", service_information: {}, activation_error: "", expires: null, features: [] };

export class ConnectedApp {
    #ids;

    // `ca`: whom it believes besides, where the portal's name stands for this machine.
    constructor(url, { application = "total-security", version = "22.4", name = "kitchen-laptop", facts = FACTS, ca } = {}) {
        Object.assign(this, { url: `${url}/api/v1`, ca, name, facts });
        this.about = { application_id: application, application_version: version, application_locale: "en-GB" };
        this.temporary = `tmp-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`;
    }

    ask(method, path, message) {
        const at = new URL(this.url + path), body = message === undefined ? undefined : JSON.stringify(message);
        const headers = { Accept: "application/json", ...(body && { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }),
            ...(this.#ids && { Authorization: `Bearer ${this.#ids.token}` }) };
        const options = { method, headers, host: "127.0.0.1", port: at.port, path: at.pathname + at.search, ca: this.ca, servername: at.hostname };
        headers.Host = at.host;
        return new Promise((done, failed) => {
            const r = (at.protocol === "https:" ? secure : plain)(options, (answer) => {
                let text = "";
                answer.on("data", (piece) => (text += piece));
                answer.on("end", () => done({ status: answer.statusCode, ...(text && JSON.parse(text)) }));
            });
            r.on("error", failed);
            r.end(body);
        });
    }

    // Gives the last answer: 201 where it is bound.
    async connect(password, choice = "participate") {
        const { version } = await this.ask("GET", `/statements/${this.about.application_id}`);
        let { context } = await this.ask("POST", `/statements/${version}/acceptances`, { ...this.about, choice });
        const let_in = await this.ask("POST", "/connections", { context, connection_password: password, temporary_device_id: this.temporary });
        if (let_in.status !== 200) {
            return let_in;
        }
        ({ context } = let_in);
        const bound = await this.ask("POST", "/bindings", { context, temporary_device_id: this.temporary, ...this.about, device: { network_name: this.name, ...this.facts } });
        if (bound.status === 201) {
            this.#ids = bound;
        }
        return bound;
    }

    get device() {
        return this.#ids.device_id;
    }

    // Says how it is: `license` goes over having none, `told` is the app's own word of itself.
    report(told = {}, license = {}) {
        const { device_id, application_instance_id, binding_id } = this.#ids;
        return this.ask("PUT", `/bindings/${binding_id}/state`, {
            device_id, application_instance_id, binding_id, ...this.about, device: { device_id, network_name: this.name, ...this.facts },
            license: { ...NOTHING, service_information: told, ...license },
        });
    }

    async commands() {
        return (await this.ask("GET", "/commands")).commands;
    }

    done(command) {
        return this.ask("POST", `/commands/${command.id}/done`, {});
    }

    // Where it is, because a command asked for it.
    position(command, place) {
        return this.ask("POST", `/commands/${command.id}/position`, place);
    }

    failed(command, reason) {
        return this.ask("POST", `/commands/${command.id}/failed?reason=${reason}`, {});
    }
}

export const GOOD = { type: "subscription", status: "active", expires: "2027-11-25T10:00:00Z", features: ["virus-protection", "anti-theft"] };
