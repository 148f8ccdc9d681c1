/* Dialogs: before something that stops or moves an App, one asks; and if it fails, one says why.
 * <dialog> keeps the focus inside, ends with Escape, and gives the focus back.
 */

import { alert, h, show } from "./dom.js";

/** Asks. fields: what is filled in, each { name, label, help, value, choices, pattern, maxlength,
 *  required }. act(values): does it, a promise. Resolves to whether it was done. */
export function ask({ title, text, fields = [], button, isDanger = false, act }) {
    const inputs = fields.map(field => ({ field, ...made(field) }));
    const problem = h("div", { role: "alert" });
    const yes = h("button", { type: "submit", class: `button ${isDanger ? "button-danger" : "button-primary"}` }, button);
    const no = h("button", { type: "button", class: "button button-link" }, "Cancel");
    const form = h("form", { method: "dialog" },
                   h("header", {}, h("h1", { id: "dialog-title" }, title)),
                   h("div", { class: "dialog-body" }, problem, text ? h("p", { id: "dialog-text" }, text) : null,
                     ...inputs.map(one => one.element)),
                   h("footer", {}, yes, no));
    const dialog = h("dialog", {
        "aria-labelledby": "dialog-title", "aria-describedby": text ? "dialog-text" : null,
    }, form);

    return new Promise(resolve => {
        let isBusy = false;
        let isDone = false;
        no.addEventListener("click", () => dialog.close());
        dialog.addEventListener("cancel", event => {
            if (isBusy)
                event.preventDefault();
        });
        dialog.addEventListener("close", () => {
            dialog.remove();
            resolve(isDone);
        });
        form.addEventListener("submit", async event => {
            event.preventDefault();
            if (isBusy)
                return;
            isBusy = true;
            yes.disabled = no.disabled = true;
            yes.classList.add("busy");
            problem.replaceChildren();
            try {
                await act(Object.fromEntries(inputs.map(one => [one.field.name, one.value()])));
                isDone = true;
                dialog.close();
            } catch (error) {
                problem.append(failed(error));
            }
            isBusy = false;
            yes.disabled = no.disabled = false;
            yes.classList.remove("busy");
        });
        document.body.append(dialog);
        dialog.showModal();
    });
}

/** A failure in words, with what to do about it. */
export function failed(error) {
    const help = error.kind === "denied"
        ? h("p", {}, "Only an administrator may do this: turn on administrative access, at the top of Cockpit's window.")
        : null;
    return alert("bad", error.kind === "denied" ? "You may not do this" : "This failed", h("p", {}, error.message), help);
}

function made(field) {
    if (field.choices)
        return choices(field);
    const help = field.help ? h("p", { class: "help", id: `${field.name}-help` }, field.help) : null;
    const input = h("input", {
        type: "text", id: field.name, value: field.value || "", maxlength: field.maxlength,
        pattern: field.pattern, required: field.required, autocomplete: "off", spellcheck: "false",
        "aria-describedby": help ? help.id : null,
    });
    return {
        element: h("div", { class: "field" }, h("label", { for: field.name }, field.label), input, help),
        value: () => input.value.trim(),
    };
}

/** Radio buttons; the last one has a text field if it has `other`. */
function choices(field) {
    const other = h("input", {
        type: "text", "aria-label": field.other, maxlength: 64, autocomplete: "off", spellcheck: "false",
        pattern: "[A-Za-z0-9][A-Za-z0-9._:@\\-]{0,63}",
    });
    const radios = field.choices.map(([value, text], place) => {
        const radio = h("input", { type: "radio", name: field.name, value, checked: place === 0 });
        radio.addEventListener("change", follow);
        return h("label", { class: "choice" }, radio, text);
    });
    const element = h("fieldset", { class: "field" }, h("legend", {}, field.label), ...radios, field.other ? other : null);
    const chosen = () => element.querySelector("input[type=radio]:checked").value;

    function follow() {
        show(other, chosen() === "");
        other.required = chosen() === "";
    }

    follow();
    return { element, value: () => chosen() || other.value.trim() };
}
