/* The last minutes as a strip: a bar for who counted, a line for each takeover. */

import { arrange, h, s } from "./dom.js";
import { moment, sentenceOf, several } from "./words.js";

const WIDTH = 1000;
const HEIGHT = 100;
const LEAST = 3;
/** Of the WIDTH: what is shorter would not be seen. */

/** Returns { element, draw(spans, events, from, now) }. */
export function strip(isLarge = false) {
    const drawing = s("svg", {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        class: `strip-picture${isLarge ? " strip-large" : ""}`,
    });
    const axis = h("div", { class: "strip-axis", "aria-hidden": "true" });
    const element = h("div", { class: "strip" }, drawing, isLarge ? axis : null);

    function draw(spans, events, from, now) {
        const scale = WIDTH / (now - from);
        const x = time => (time - from) * scale;
        const bars = spans.map(span => {
            const wide = Math.max(x(span.to) - x(span.from), span.kind === "silent" ? LEAST : 0);
            const end = Math.min(x(span.from) + wide, WIDTH);
            return s("rect", {
                class: `span span-${span.kind}`, x: (end - wide).toFixed(1), width: wide.toFixed(1), y: 12, height: 76,
            }, s("title", {}, `${span.what}, ${moment(span.from)} to ${moment(span.to)}`));
        });
        const shown = events.filter(event => event.when >= from);
        const marks = shown.map(event => s("line", {
            class: `mark mark-${event.event}`, x1: x(event.when).toFixed(1), x2: x(event.when).toFixed(1), y1: 0, y2: HEIGHT,
        }, s("title", {}, `${moment(event.when)}: ${sentenceOf(event)}`)));
        drawing.setAttribute("aria-label", inWords(spans, shown, from, now));
        drawing.replaceChildren(...bars, ...marks);
        if (isLarge)
            arrange(axis, [0, 1, 2, 3].map(part => h("span", {}, moment(from + (now - from) * part / 3))));
    }

    return { element, draw };
}

function inWords(spans, events, from, now) {
    const minutes = Math.round((now - from) / 60);
    const last = spans.filter(span => span.to > now - 2).pop();
    const takeovers = events.filter(event => event.event === "takeover");
    const said = takeovers.slice(-3).map(event => `at ${moment(event.when)} ${sentenceOf(event)}`);
    return [
        `The last ${minutes} minutes: ${takeovers.length ? several(takeovers.length, "takeover") : "no takeover"}`,
        ...said,
        ...(last ? [`now: ${last.what}`] : []),
    ].join("; ");
}

/** What the colours mean. */
export function legend() {
    const entry = (kind, text) => h("li", {}, h("span", { class: `key key-${kind}`, "aria-hidden": "true" }), text);
    return h("ul", { class: "legend", "aria-label": "Colours of the strips" },
             entry("main", "main"), entry("failover", "failover"), entry("elsewhere", "another host"),
             entry("silent", "no count"), entry("mark", "takeover"));
}
