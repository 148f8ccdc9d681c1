/* All Apps: a row for each, what is wrong, and the last takeovers. */

/* global cockpit */

import { buttons, startNew } from "./actions.js";
import { alert, arrange, h, label, say, show, whenChanged } from "./dom.js";
import { RECENT } from "./source.js";
import { legend, strip } from "./strip.js";
import { beatOf, duration, kindOf, moment, sentenceOf, several, whoOf } from "./words.js";

const MINUTES = 5;
const LAST = 8;
/** Takeovers that are shown. */

/** Returns { element, update(known) }; see main.js for what is known. */
export function overview() {
    const receiver = h("p", { class: "summary", id: "receiver" });
    const start = h("button", { type: "button", class: "button button-secondary", id: "start-new", onclick: startNew }, "Start an App");
    const problems = h("div", { id: "problems" });
    const table = h("table", { id: "apps", class: "apps" },
                    h("caption", { class: "unseen" }, "Apps"),
                    h("thead", {}, h("tr", {}, ...HEADERS.map(text => h("th", { scope: "col" }, text)))));
    const body = h("tbody");
    table.append(body);
    const events = h("ol", { class: "events", id: "events" });
    const takeovers = h("section", { class: "card", "aria-labelledby": "events-title" },
                        h("h2", { id: "events-title" }, "Takeovers"), events);
    const empty = h("div", { class: "empty", id: "empty" });
    const colours = legend();
    const apps = h("section", { class: "card", "aria-labelledby": "apps-title" },
                   h("div", { class: "card-head" }, h("h2", { id: "apps-title" }, "Apps"), colours), table, empty);
    const element = h("div", { class: "view" },
                      h("header", { class: "page-head" }, h("div", {}, h("h1", {}, "sendrecv"), receiver), start),
                      problems, apps, takeovers);
    const rows = new Map();
    const updateProblems = whenChanged(found => problems.replaceChildren(...problemsOf(found)));
    const updateEvents = whenChanged(found => events.replaceChildren(...found.map(eventOf)));
    const updateEmpty = whenChanged(seesRecords => empty.replaceChildren(...emptyOf(seesRecords)));

    function update(known) {
        const { document, past } = known;
        say(receiver, receiverOf(document.receiver));
        updateProblems(document.problems);
        for (const name of rows.keys()) {
            if (!document.apps.some(app => app.instance === name))
                rows.delete(name);
        }
        arrange(body, document.apps.map(app => {
            if (!rows.has(app.instance))
                rows.set(app.instance, row(app.instance));
            rows.get(app.instance).update(app, known);
            return rows.get(app.instance).element;
        }));
        const isEmpty = document.apps.length === 0;
        [table, colours, start].forEach(one => show(one, !isEmpty));
        show(empty, isEmpty);
        updateEmpty(document.seesRecords);
        const found = past.of().filter(event => event.event === "takeover" && event.when > document.when - RECENT);
        updateEvents(found.slice(-LAST).reverse());
        show(takeovers, document.seesJournal && !isEmpty);
    }

    return { element, update };
}

const HEADERS = ["App", "State", "Counts", "Count", "Beat", `Last ${MINUTES} minutes`, "Actions"];

function row(instance) {
    const link = h("a", {
        href: `#/${encodeURIComponent(instance)}`,
        onclick: event => {
            event.preventDefault();
            cockpit.location.go([instance]);
        },
    }, instance);
    const cells = HEADERS.slice(1).map(text => h("td", { "data-label": text }));
    const [state, who, count, beat, picture, actions] = cells;
    const failure = h("div", { role: "alert" });
    const act = buttons(failure);
    const drawn = strip();
    const name = h("span", { class: "who" });
    const since = h("span", { class: "since" });
    who.append(name, since);
    count.className = "number count";
    beat.className = "number";
    picture.className = "strip-cell";
    actions.className = "actions-cell";
    picture.append(drawn.element);
    actions.append(act.element, failure);
    const updateState = whenChanged(app => state.replaceChildren(...labelsOf(app)));

    return {
        element: h("tr", { "data-app": instance }, h("th", { scope: "row" }, link), ...cells),
        update(app, { document, past }) {
            updateState({ state: app.state, paused: app.paused });
            say(name, whoOf(app));
            say(since, app.since === null ? "" : `since ${moment(app.since)}`);
            say(count, app.count === null ? "" : String(app.count));
            say(beat, beatOf(app));
            const from = document.when - 60 * MINUTES;
            drawn.draw(past.spans(app, from, document.when, document.host), past.of(app.instance), from, document.when);
            act.update(app, document.host);
        },
    };
}

/** The labels of an App: its state, and whether it is paused. */
export function labelsOf(app) {
    return [label(kindOf(app.state), app.state), ...(app.paused ? [label("warn", "paused")] : [])];
}

/** What is wrong, and what to type. */
export function problemsOf(problems) {
    return problems.map(problem => alert(
        problem.severity === "error" ? "bad" : "warn", problem.text,
        problem.commands.length ? h("p", { class: "commands" }, "To type as root: ", ...problem.commands.map(command => h("code", {}, command))) : null));
}

function eventOf(event) {
    return h("li", {}, h("time", {}, moment(event.when)), h("strong", {}, event.instance), h("span", {}, sentenceOf(event)));
}

function receiverOf(receiver) {
    if (receiver.since === null)
        return "";
    const rate = receiver.rate < 1000 ? Number((receiver.rate || 0).toPrecision(3)) : Math.round(receiver.rate);
    const refusal = receiver.lastRefusal
        ? ` · last refusal ${moment(receiver.lastRefusal.when)}: ${receiver.lastRefusal.reason}` +
            (receiver.lastRefusal.appID ? ` (App ${receiver.lastRefusal.appID})` : "")
        : "";
    const up = duration(Math.max(0, Date.now() / 1000 - receiver.since));
    return `Receiver up for ${up} · ${several(receiver.connections, "connection")} · ${rate} counts a second${refusal}`;
}

function emptyOf(seesRecords) {
    return [
        h("h3", {}, seesRecords ? "No App yet" : "No App that you may see"),
        h("p", {}, "An App needs no configuration. Its main half counts, and its failover goes on when main ends."),
        h("button", { type: "button", class: "button button-primary", onclick: startNew }, "Start an App"),
    ];
}
