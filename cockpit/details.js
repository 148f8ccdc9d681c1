/* One App: what it does now, its last minutes, its history, and its proof. */

/* global cockpit */

import { buttons } from "./actions.js";
import { alert, h, say, show, whenChanged } from "./dom.js";
import { failed } from "./dialogs.js";
import { labelsOf, problemsOf } from "./overview.js";
import { history, prove, RECENT } from "./source.js";
import { legend, strip } from "./strip.js";
import { beatOf, duration, moment, nodeOf, several, whoOf } from "./words.js";

const SHOWN = 20;
/** Events of the history, until one asks for all. */

/** Returns { element, update(known) }. */
export function details(instance) {
    const labels = h("span", { class: "labels" });
    const failure = h("div", { role: "alert" });
    const act = buttons(failure);
    const problems = h("div");
    const now = facts();
    const minutes = strip(true);
    const past = story(instance);
    const proof = prover(instance);
    const back = h("a", {
        href: "#/",
        onclick: event => {
            event.preventDefault();
            cockpit.location.go([]);
        },
    }, "Apps");
    const minutesCard = card("minutes", `Last ${RECENT / 60} minutes`, minutes.element);
    minutesCard.firstElementChild.append(legend());
    const content = h("div", {}, problems, card("now", "Now", now.element), minutesCard, past.element, proof.element);
    const gone = h("p", { class: "card" }, `There is no App ${instance}.`);
    const title = h("h1", { tabindex: "-1" }, instance);
    const element = h("div", { class: "view" },
                      h("nav", { class: "breadcrumb", "aria-label": "Breadcrumb" },
                        h("ol", {}, h("li", {}, back), h("li", { "aria-current": "page" }, instance))),
                      h("header", { class: "page-head" }, h("div", { class: "title" }, title, labels), act.element),
                      failure, content, gone);
    const updateLabels = whenChanged(app => labels.replaceChildren(...labelsOf(app)));
    const updateProblems = whenChanged(found => problems.replaceChildren(...problemsOf(found)));

    function update(known) {
        const { document } = known;
        const app = document.apps.find(one => one.instance === instance);
        show(content, app !== undefined);
        show(gone, app === undefined);
        show(act.element, app !== undefined);
        if (!app)
            return;
        updateLabels({ state: app.state, paused: app.paused });
        act.update(app, document.host);
        updateProblems(document.problems.filter(problem => problem.instance === instance || problem.instance === null));
        now.update(app);
        const from = document.when - RECENT;
        minutes.draw(known.past.spans(app, from, document.when, document.host), known.past.of(instance), from, document.when);
        past.update(app, document.seesJournal);
        proof.update(document.seesJournal);
    }

    return { element, update, focus: () => title.focus() };
}

function card(name, title, ...content) {
    return h("section", { class: "card", id: name, "aria-labelledby": `${name}-title` },
             h("div", { class: "card-head" }, h("h2", { id: `${name}-title` }, title)), ...content);
}

/** What is known of it now. */
function facts() {
    const values = {};
    const big = h("span", { class: "big-count" });
    const list = h("dl", { class: "facts" });

    function set(name, text) {
        if (!values[name]) {
            values[name] = h("dd");
            values[name].row = h("div", {}, h("dt", {}, name), values[name]);
            list.append(values[name].row);
        }
        say(values[name], text);
        show(values[name].row, text !== "");
    }

    function update(app) {
        say(big, app.count === null ? "" : String(app.count));
        const isElsewhere = app.state === "standing by";
        set("Counts", whoOf(app) || "nobody");
        set("Since", moment(app.since));
        set("Beat", beatOf(app));
        set("Epoch", app.epoch === null ? "" : String(app.epoch));
        set("Kept to send later", app.backlog > 1 && !isElsewhere ? several(app.backlog, "count") : "");
        set("Starts at boot", app.atBoot ? "yes" : "no");
        if (app.paused)
            set("Paused", [moment(app.paused.since), app.paused.by ? `by ${app.paused.by}` : "", app.paused.reason || ""].filter(text => text).join(", "));
        else if (values.Paused)
            set("Paused", "");
        for (const [role, half] of Object.entries(app.halves))
            set(role === "main" ? "Main" : "Failover", halfOf(half));
    }

    return { element: h("div", { class: "now" }, h("div", { class: "count-box" }, big, h("span", { class: "count-word" }, "last count")), list), update };
}

function halfOf(half) {
    const masked = half.masked ? ", masked" : "";
    if (half.state === "active" || half.state === "activating" || half.state === "reloading")
        return `${half.state}${masked}${half.status ? `: ${half.status}` : ""}`;
    const how = half.result && half.result !== "success" ? `, ended last by ${half.result}` : "";
    return `${half.state}${masked}${how}`;
}

/** The history: its newest entries; read again when there is a takeover. */
function story(instance) {
    const rows = h("tbody");
    const table = h("table", { class: "history" },
                    h("caption", { class: "unseen" }, `Takeovers and starts of App ${instance}`),
                    h("thead", {}, h("tr", {}, ...["When", "Who", "Count", "Silence", "Why"].map(text => h("th", { scope: "col" }, text)))),
                    rows);
    const note = h("p", { class: "note" });
    const all = h("button", { type: "button", class: "button button-link" });
    const body = h("div", {}, table, note, all);
    const element = card("history", "History", body);
    let events = [];
    let showsAll = false;
    all.addEventListener("click", () => {
        showsAll = !showsAll;
        draw();
    });

    function draw() {
        const shown = showsAll ? events : events.slice(-SHOWN);
        rows.replaceChildren(...shown.slice().reverse().map(rowOf));
        show(table, events.length > 0);
        say(note, events.length ? "" : "The journal has no takeovers and no starts of this App.");
        show(note, events.length === 0);
        show(all, events.length > SHOWN);
        say(all, showsAll ? "Show less" : `Show all ${events.length}`);
    }

    async function read() {
        try {
            events = await history(instance);
            draw();
        } catch (error) {
            show(table, false);
            show(all, false);
            show(note, true);
            say(note, error.message);
        }
    }

    const update = whenChanged(([, , seesJournal]) => {
        if (seesJournal) {
            read();
            return;
        }
        show(table, false);
        show(all, false);
        say(note, "Only root and members of the groups adm and systemd-journal may read the journal, which has the history.");
    });
    return { element, update: (app, seesJournal) => update([app.takeover && app.takeover.when, app.epoch, seesJournal]) };
}

function rowOf(event) {
    const to = nodeOf(event.toNode, event.toHost);
    const from = nodeOf(event.fromNode, event.fromHost);
    const cell = (text, name, style) => h("td", { "data-label": name, class: style || null }, text);
    const who = event.event === "takeover" ? [h("span", { class: "from" }, from), " → ", to] : [to];
    return h("tr", { class: event.event },
             h("th", { scope: "row" }, moment(event.when)),
             h("td", { "data-label": "Who" }, h("span", {}, ...who)),
             cell(event.count === null ? "" : `from ${event.count}`, "Count", "number"),
             cell(event.silence === null ? "" : duration(event.silence), "Silence", "number"),
             cell([event.why, event.reason && !(event.why || "").includes(event.reason) ? `“${event.reason}”` : ""].filter(text => text).join(", "), "Why", "why"));
}

const PERIODS = [["-1h", "The last hour"], ["today", "Today"], ["", "All that the journal has"]];

/** The proof, on request: it reads the whole journal. */
function prover(instance) {
    const period = h("select", { id: "period" }, ...PERIODS.map(([value, text]) => h("option", { value, selected: value === "" }, text)));
    const go = h("button", { type: "button", class: "button button-secondary", id: "prove" }, "Prove");
    const cancel = h("button", { type: "button", class: "button button-link" }, "Cancel");
    const result = h("div", { id: "verdict", "aria-live": "polite" });
    const denied = h("p", { class: "note" }, "Only root and members of the groups adm and systemd-journal may read the journal, which has the evidence.");
    const form = h("div", { class: "toolbar" }, h("label", { for: "period" }, "Period"), period, go, cancel);
    const element = card("proof", "Proof", h("p", { class: "note" },
                                             "Shows from records that the senders cannot write whether two ever counted at once, and whether a count was lost or repeated."),
                         form, denied, result);
    show(cancel, false);

    go.addEventListener("click", async () => {
        const { done, cancel: stop } = prove(instance, period.value);
        let isCancelled = false;
        const onCancel = () => {
            isCancelled = true;
            stop();
        };
        cancel.addEventListener("click", onCancel);
        go.disabled = period.disabled = true;
        go.classList.add("busy");
        show(cancel, true);
        result.replaceChildren(h("p", { class: "note" }, "Reading the journal …"));
        try {
            result.replaceChildren(...verdictOf(await done, instance));
        } catch (error) {
            result.replaceChildren(...(isCancelled ? [] : [failed(error)]));
        }
        cancel.removeEventListener("click", onCancel);
        go.disabled = period.disabled = false;
        go.classList.remove("busy");
        show(cancel, false);
    });

    function update(seesJournal) {
        show(form, seesJournal);
        show(denied, !seesJournal);
    }

    return { element, update };
}

const KINDS = { PROVEN: "good", VIOLATED: "bad", INCONCLUSIVE: "warn", NOTHING: "off" };

function verdictOf({ verdict, picture }, instance) {
    const app = verdict.apps.find(one => one.instances.includes(instance)) || verdict.apps[0];
    const checks = app ? app.checks : [];
    const summary = app
        ? `${several(app.counts.number, "count")}${app.counts.first === null ? "" : `, ${app.counts.first} to ${app.counts.highest}`}, ` +
            `${several(app.runs.length, "run")}, ${several(app.takeovers.filter(one => one.kind === "takeover" || one.kind === "host").length, "takeover")}`
        : "There is nothing to show.";
    return [
        h("p", { class: "verdict" }, labelOf(verdict.verdict), summary),
        ...verdict.notes.map(note => alert("info", note)),
        h("ul", { class: "checks" }, ...checks.map(checkOf)),
        ...(picture ? [h("div", { class: "picture", tabindex: "0", role: "region", "aria-label": "Picture of the proof" }, drawn(picture))] : []),
    ];
}

function labelOf(verdict) {
    return h("span", { class: `label label-${KINDS[verdict] || "off"}` }, verdict);
}

function checkOf(check) {
    return h("li", {}, labelOf(check.verdict), h("div", {}, h("strong", {}, check.check), " ", h("span", { class: "text" }, check.text),
                                                       ...check.findings.map(finding => h("p", { class: finding.violation ? "violation" : "doubt" }, finding.text))));
}

/** As an image: a browser runs no script in that, and loads nothing that it names. */
function drawn(picture) {
    const bytes = new TextEncoder().encode(picture);
    const text = Array.from(bytes, byte => String.fromCharCode(byte)).join("");
    return h("img", {
        src: `data:image/svg+xml;base64,${window.btoa(text)}`,
        alt: "A lane for each half: bars for its runs, dots for counts, lines for takeovers. The text above has the verdict.",
    });
}
