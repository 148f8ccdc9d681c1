/* Elements. All text is put in as text: nothing that a command says is ever parsed as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** An element with these attributes and children. An attribute that begins with "on" is a listener,
 *  one that is null or false is left out. A child is a node, a text, or null. */
export function h(name, attributes = {}, ...children) {
    return filled(document.createElement(name), attributes, children);
}

/** The same in a picture. */
export function s(name, attributes = {}, ...children) {
    return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on"))
            element.addEventListener(key.slice(2), value);
        else if (value !== null && value !== false && value !== undefined)
            element.setAttribute(key, value === true ? "" : String(value));
    }
    element.append(...children.filter(child => child !== null && child !== undefined));
    return element;
}

/** Set a text only if it has changed: a selection stays, and a screen reader is not told again. */
export function say(element, text) {
    if (element.textContent !== text)
        element.textContent = text;
}

/** Show or hide. */
export function show(element, isShown) {
    element.hidden = !isShown;
}

/** Make these the children, and leave alone what is in its place already: the focus stays. */
export function arrange(parent, children) {
    children.forEach((child, place) => {
        if (parent.children[place] !== child)
            parent.insertBefore(child, parent.children[place] || null);
    });
    while (parent.children.length > children.length)
        parent.lastElementChild.remove();
}

/** Calls `make` again only if `value` is another one than before. */
export function whenChanged(make) {
    let before;
    return value => {
        const now = JSON.stringify(value);
        if (now !== before) {
            before = now;
            make(value);
        }
    };
}

/** A label as those of PatternFly. Kind: "good", "bad", "warn", "calm", "busy". */
export function label(kind, text) {
    return h("span", { class: `label label-${kind}` }, text);
}

/** A message in the page. Kind: "bad", "warn", "info". */
export function alert(kind, title, ...content) {
    const said = { bad: "Error: ", warn: "Warning: ", info: "" }[kind];
    return h("div", { class: `alert alert-${kind}` },
             h("span", { class: "alert-icon", "aria-hidden": "true" }, { bad: "!", warn: "!", info: "i" }[kind]),
             h("div", { class: "alert-body" },
               h("h2", {}, said ? h("span", { class: "unseen" }, said) : null, title), ...content));
}
