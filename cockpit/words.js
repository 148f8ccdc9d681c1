/* What is shown of numbers, moments and states. */

const LABELS = {
    counting: "good",
    "standing by": "calm",
    elsewhere: "calm",
    starting: "busy",
    stopped: "off",
    "not delivered": "bad",
    "should run": "bad",
};

/** The kind of label for a state of an App. */
export function kindOf(state) {
    return LABELS[state] || "calm";
}

/** A moment of the wall clock, as `sendrecv status` shows it: the time if it is today. */
export function moment(seconds) {
    if (seconds === null)
        return "";
    const when = new Date(seconds * 1000);
    const time = when.toLocaleTimeString("en-GB");
    if (when.toDateString() === new Date().toDateString())
        return time;
    return `${when.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

/** A duration in the unit that a person would take. */
export function duration(seconds) {
    for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
        if (seconds >= 2 * size)
            return `${Math.round(seconds / size)} ${unit}`;
    }
    return seconds >= 10 ? `${Math.round(seconds)} s` : `${seconds.toFixed(1)} s`;
}

/** The time from one count to the next; or how much the next one is late. */
export function beatOf(app) {
    if (app.late !== null && app.late > Math.max(1, (app.beat || 0) / 2))
        return `late by ${duration(app.late)}`;
    if (app.beat === null)
        return "";
    if (app.beat < 0.01)
        return app.beat ? `${Math.round(1 / app.beat)} a second` : "";
    return app.beat < 10 ? `${app.beat.toFixed(2)} s` : duration(app.beat);
}

/** Who counts, in the words of `sendrecv status`. */
export function whoOf(app) {
    const node = app.nodeID || "";
    if (app.host && (node === app.host || node === `${app.host}-failover`))
        return `${node === app.host ? "main" : "failover"} on ${app.host}`;
    const half = node && app.half && app.state !== "standing by" && node !== app.half ? ` (${app.half})` : "";
    return app.host ? `${node}${half} on ${app.host}` : `${node}${half}`;
}

/** A node of an event, with its host if the node is not named after it. */
export function nodeOf(node, host) {
    return host && node && !node.startsWith(host) ? `${node} on ${host}` : node || "";
}

/** "1.0 s without a count", or "" if that is not known. */
export function silenceOf(event) {
    return event.silence === null ? "" : `${duration(event.silence)} without a count`;
}

/** One sentence about a takeover or a start. */
export function sentenceOf(event) {
    const to = nodeOf(event.toNode, event.toHost);
    const from = nodeOf(event.fromNode, event.fromHost);
    const what = event.event === "takeover"
        ? `${to} counts, in place of ${from || "nobody"}`
        : `${to} counts${from ? " again" : ": the App has begun"}`;
    const silence = silenceOf(event);
    return `${what}${event.why && from ? `: ${event.why}` : ""}${silence ? `, ${silence}` : ""}`;
}

/** A word with its number. */
export function several(number, word) {
    return `${number} ${word}${number === 1 ? "" : "s"}`;
}
