/* The page: what is known, which view shows it, and what a screen reader is told. */

/* global cockpit */

import { details } from "./details.js";
import { alert, h } from "./dom.js";
import { overview } from "./overview.js";
import { Past } from "./past.js";
import { follow, history, watchRights } from "./source.js";
import { sentenceOf } from "./words.js";

const OLD = 8;
/** Seconds without news, after which it is said. The receiver may take 5 s for an answer. */
const BLINK = 2;
/** Seconds that a takeover may take. */
const WAIT = 1500;
/** Milliseconds from a takeover to the reading of the history; and from there to the next. */

const page = document.getElementById("page");
const messages = h("div", { id: "messages" });
const announcements = document.getElementById("announcements");
const known = { document: null, past: new Past() };
let view = null;
let heard = 0; // when the last document came, in milliseconds
let failure = null;
let rights = null;

/** The view that the address names. */
function navigate() {
    const [instance] = cockpit.location.path;
    const isFirst = view === null;
    view = instance ? details(instance) : overview();
    page.replaceChildren(messages, view.element);
    if (known.document)
        view.update(known);
    if (view.focus && !isFirst)
        view.focus();
    draw();
}

const newest = new Map(); // by instance: when its last takeover was
const counted = new Map(); // by instance: when one of its halves was seen active

/** Between its halves an App has none for a moment, while it should run. That is no fault yet. */
function calm(document) {
    for (const app of document.apps) {
        if (app.half !== null)
            counted.set(app.instance, document.when);
        else if (app.state === "should run" && document.when - counted.get(app.instance) < BLINK) {
            app.state = "starting";
            document.problems = document.problems.filter(one => one.code !== "should-run" || one.instance !== app.instance);
        }
    }
}

function onDocument(document) {
    heard = Date.now();
    failure = null;
    calm(document);
    const before = known.document;
    known.document = document;
    known.past.see(document);
    for (const app of document.apps) {
        if (app.takeover && app.takeover.when > (newest.get(app.instance) || 0)) {
            newest.set(app.instance, app.takeover.when);
            known.past.add(app.takeover);
            if (before)
                announce(`App ${app.instance}: ${sentenceOf(app.takeover)}`);
        }
        const was = before && before.apps.find(one => one.instance === app.instance);
        if (was && was.state !== app.state && app.state !== "starting" && was.state !== "starting")
            announce(`App ${app.instance} is now: ${app.state}`);
    }
    if (document.seesJournal)
        readHistory(document);
    view.update(known);
    draw();
}

function announce(text) {
    announcements.append(h("p", {}, text));
    while (announcements.children.length > 3)
        announcements.firstElementChild.remove();
}

/** Starts are in the history only: it is read again when an epoch or a takeover is new. */
const readHistory = (() => {
    let before = null;
    let timer = null;
    return document => {
        const now = JSON.stringify(document.apps.map(app => [app.instance, app.epoch, app.takeover && app.takeover.when]));
        if (now === before || timer !== null)
            return;
        timer = window.setTimeout(async () => {
            try {
                known.past.tell(await history());
                view.update(known);
            } catch (error) {
                console.warn("history:", error.message); // it is said by who shows it
            }
            timer = null;
        }, before === null ? 0 : WAIT);
        before = now;
    };
})();

/** What is said above all views. */
function draw() {
    const found = [];
    const document = known.document;
    if (failure)
        found.push(...failed(failure));
    else if (!document)
        found.push(h("p", { class: "note", role: "status" }, "Asking sendrecv …"));
    else if (Date.now() - heard > 1000 * OLD)
        found.push(alert("warn", `No news for ${Math.round((Date.now() - heard) / 1000)} seconds`, h("p", {}, "What is shown may be old.")));
    if (document && !failure)
        found.push(...hidden(document));
    const text = found.map(one => one.textContent).join("\n");
    if (text !== messages.textContent || found.length !== messages.children.length)
        messages.replaceChildren(...found);
    page.classList.toggle("old", Boolean(failure) && document !== null);
}

function failed(error) {
    const titles = {
        missing: "sendrecv is not installed on this machine",
        old: "This version of sendrecv is too old for this page, or too new",
        denied: "You may not ask sendrecv",
        failed: "sendrecv gives no answer",
    };
    const help = {
        missing: "Install the package sendrecv, then load this page again.",
        old: "Load this page again after the upgrade has ended.",
        denied: error.message,
        failed: `${error.message}. It is asked again by itself.`,
    };
    return [alert("bad", titles[error.kind], h("p", {}, help[error.kind]))];
}

/** What this user does not see, and who may. */
function hidden(document) {
    const missing = [];
    if (document.receiver.error && !document.problems.some(problem => problem.code.startsWith("receiver")))
        missing.push(h("li", {}, `Counts, beats and connections: ${document.receiver.error.split(": ").pop()}`));
    if (!document.seesJournal)
        missing.push(h("li", {}, "Takeovers, history and proof: the journal is shown to root and to members of the groups adm and systemd-journal"));
    if (!document.seesRecords && missing.length)
        missing.push(h("li", {}, "Apps that were stopped before the receiver knew them, and exact backlogs: records are shown to root alone"));
    if (!missing.length)
        return [];
    const help = rights === false
        ? h("p", {}, "To see all, turn on administrative access at the top of Cockpit's window, or ask an administrator to add you to the group adm.")
        : null;
    return [alert("info", "You do not see everything", h("ul", {}, ...missing), help)];
}

function main() {
    const stream = follow(onDocument, error => {
        failure = error;
        draw();
    });

    function look() {
        if (cockpit.hidden) {
            stream.pause();
        } else {
            heard = Date.now();
            stream.restart();
        }
    }

    cockpit.addEventListener("locationchanged", navigate);
    cockpit.addEventListener("visibilitychange", look);
    watchRights(allowed => {
        const isChanged = rights !== null && allowed !== null && rights !== allowed;
        rights = allowed;
        if (isChanged)
            look();
        else
            draw();
    });
    window.setInterval(draw, 1000);
    navigate();
    look();
}

main();
