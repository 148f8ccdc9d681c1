/* Who counted in the last minutes: from the history, and from what this page has seen since it was
 * opened. Computes only. Moments are in seconds since 1970.
 */

import { RECENT } from "./source.js";

const NOT_COUNTING = new Set(["not delivered", "should run", "stopped"]);

/** How a node is drawn: "main", "failover", or "elsewhere" for another host. */
export function kindOf(node, host, here) {
    if (host && host !== here)
        return "elsewhere";
    return (node || "").endsWith("failover") ? "failover" : "main";
}

/** What is known of the past of all Apps. */
export class Past {
    constructor() {
        this.events = new Map(); // by instance; the newest is last
        this.isTold = false; // before that, there may be more events than are known
        this.seen = new Map(); // by instance: spans in which it did not count
        this.counted = new Map(); // by instance: when it was last seen to count
    }

    /** What `sendrecv history` says. */
    tell(events) {
        this.isTold = true;
        for (const event of events)
            this.add(event);
    }

    /** One event, unless it is known. Returns whether it is new. */
    add(event) {
        const known = this.of(event.instance);
        if (known.some(one => one.epoch === event.epoch && Math.abs(one.when - event.when) < 1))
            return false;
        known.push(event);
        known.sort((one, other) => one.when - other.when);
        const first = known.findIndex(one => one.when > event.when - 2 * RECENT);
        this.events.set(event.instance, known.slice(Math.max(first - 1, 0)));
        return true;
    }

    /** The events of an App, or of all. The newest is last. */
    of(instance = null) {
        if (instance !== null)
            return this.events.get(instance) || [];
        return [...this.events.values()].flat().sort((one, other) => one.when - other.when);
    }

    /** What this document shows. */
    see(document) {
        for (const app of document.apps) {
            const spans = this.seen.get(app.instance) || [];
            const last = spans[spans.length - 1];
            const isOpen = last && last.open;
            if (!NOT_COUNTING.has(app.state) && app.half !== null)
                this.counted.set(app.instance, document.when);
            if (isOpen)
                last.to = document.when;
            if (isOpen && last.kind !== app.state)
                last.open = false;
            if (NOT_COUNTING.has(app.state) && !(isOpen && last.kind === app.state))
                spans.push({ from: document.when, to: document.when, kind: app.state, open: true });
            this.seen.set(app.instance, spans.filter(span => span.to > document.when - RECENT));
        }
    }

    /** Spans of an App, from `from` to `now`: { from, to, kind, what }. Kinds: those of kindOf(),
     *  "silent", "unknown", and the states in which nothing is counted. */
    spans(app, from, now, here) {
        const begin = this.isTold ? from : null;
        const spans = [...counted(this.of(app.instance), app, begin, now, here, this.counted.get(app.instance))];
        for (const { from: begin, to, kind } of this.seen.get(app.instance) || [])
            spans.push({ from: begin, to, kind: "silent", what: kind });
        return spans
            .map(span => ({ ...span, from: Math.max(span.from, from), to: Math.min(span.to, now) }))
            .filter(span => span.to > span.from);
    }
}

function* counted(events, app, from, now, here, seen) {
    const runs = app.half !== null || app.state === "elsewhere";
    let begin = null; // of the node that counts at this place of the loop, if that is known
    for (const event of events) {
        const silent = event.silence === null ? 0 : event.silence;
        const end = event.when - silent;
        const since = begin === null ? from : begin;
        if (event.fromNode && since !== null) {
            const isKnown = event.silence !== null;
            const kind = isKnown ? kindOf(event.fromNode, event.fromHost, here) : "unknown";
            yield { from: since, to: end, kind, what: event.fromNode };
        }
        if (silent)
            yield { from: end, to: event.when, kind: "silent", what: "no count" };
        begin = event.when;
    }
    const last = events[events.length - 1];
    if (runs && app.nodeID) {
        const since = begin !== null ? begin : app.since || now;
        yield { from: since, to: now, kind: kindOf(app.nodeID, app.host, here), what: app.nodeID };
    } else if (last) {
        if (seen > begin)
            yield { from: begin, to: seen, kind: kindOf(last.toNode, last.toHost, here), what: last.toNode };
        else
            yield { from: begin, to: now, kind: "unknown", what: "not known" };
    }
}
