/* The buttons of an App. */

import { ask, failed } from "./dialogs.js";
import { arrange, h } from "./dom.js";
import { commands, order } from "./source.js";

const REASON = {
    name: "reason", label: "Reason", help: "Optional. It is kept in the history.", maxlength: 200,
};
const NAME = "[A-Za-z0-9][A-Za-z0-9._:@\\-]{0,63}";

function move(app, here) {
    const other = app.half === "main" ? "failover" : "main";
    const isElsewhere = app.host && app.host !== here;
    const targets = isElsewhere ? [[here, `This host (${here})`]] : [[other, `The ${other} on this host`]];
    if (app.host)
        targets.push(["", "Another host"]);
    const fields = targets.length > 1
        ? [{ name: "to", label: "Move to", choices: targets, other: "Name of the host" }]
        : [];
    return ask({
        title: `Move App ${app.instance}${fields.length ? "" : ` to its ${other}`}?`,
        text: fields.length ? "" : `${app.half} ends, and ${other} goes on with the very next count.`,
        fields: [...fields, REASON],
        button: "Move",
        act: ({ to, reason }) => order(commands.move(app, to || targets[0][0], reason)),
    });
}

function pause(app) {
    return ask({
        title: `Pause App ${app.instance}?`,
        text: "It goes on counting. But while it is paused nothing takes over: if the half that counts ends, " +
            "nothing counts until the App is resumed. A pause outlives a reboot.",
        fields: [REASON],
        button: "Pause",
        act: ({ reason }) => order(commands.pause(app, reason)),
    });
}

function stop(app) {
    return ask({
        title: `Stop App ${app.instance}?`,
        text: "Both halves end, and nothing counts until the App is started again. It goes on then with the next count.",
        button: "Stop",
        isDanger: true,
        act: () => order(commands.stop(app)),
    });
}

/** Asks for a name, and starts the App that has it. */
export function startNew() {
    return ask({
        title: "Start an App",
        text: "An App needs no configuration: its name is enough. A new one begins with count 0.",
        fields: [{
            name: "instance", label: "Name", value: "main", pattern: NAME, maxlength: 64, required: true,
            help: "Letters, digits and . _ : @ -, the first one a letter or a digit",
        }],
        button: "Start",
        act: ({ instance }) => order(commands.start({ instance })),
    });
}

/** The buttons that fit an App now. Returns { element, update(app, here) }. problems: an element for
 *  what fails without a dialog. */
export function buttons(problems) {
    const element = h("div", { class: "buttons", role: "group" });
    let app;
    let here;
    const made = {};

    /** Makes it once: the focus stays on a button while the page goes on. */
    function button(name, text, style, act) {
        if (!made[name])
            made[name] = h("button", { type: "button", class: `button button-${style}`, onclick: () => act(made[name]) });
        if (made[name].textContent !== text)
            made[name].textContent = text;
        return made[name];
    }

    async function atOnce(words, pressed) {
        problems.replaceChildren();
        pressed.disabled = true;
        pressed.classList.add("busy");
        try {
            await order(words);
        } catch (error) {
            problems.append(failed(error));
        }
        pressed.disabled = false;
        pressed.classList.remove("busy");
    }

    function fitting() {
        const found = [];
        const isActive = app.half !== null;
        if (isActive) {
            const other = app.half === "main" ? "failover" : "main";
            const text = app.host ? "Move" : `Move to ${other}`;
            found.push(button("move", text, "primary", () => move(app, here)));
        } else if (app.state !== "elsewhere") {
            found.push(button("start", "Start", "primary", pressed => atOnce(commands.start(app), pressed)));
        }
        if (app.paused)
            found.push(button("resume", "Resume", "secondary", pressed => atOnce(commands.resume(app), pressed)));
        else if (isActive)
            found.push(button("pause", "Pause", "secondary", () => pause(app)));
        if (isActive || app.shouldRun)
            found.push(button("stop", "Stop", "danger-line", () => stop(app)));
        return found;
    }

    return {
        element,
        update(newApp, newHere) {
            app = newApp;
            here = newHere;
            element.setAttribute("aria-label", `What to do with App ${app.instance}`);
            // In the midst of a takeover they stay as they are, and keep the focus.
            if (app.state !== "starting" || !element.children.length)
                arrange(element, fitting());
        },
    };
}
