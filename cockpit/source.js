/* Where the page knows things from, and what it can do: commands on this machine, with the rights of
 * whoever has logged in, or more if Cockpit has been given them ("administrative access"). This is
 * the only module that starts a command. Each is a list of words, so no shell reads a name.
 */

/* global cockpit */

const RIGHTS = { superuser: "try", err: "message" };
const MOST = 400;
/** Events of the history that are shown. */
export const RECENT = 900;
/** Seconds of the past that the page draws. */
const RETRY = [1000, 2000, 5000, 10000];
/** Milliseconds before the next try, after the stream has ended. */

/** Why a command failed, in words. Kinds: "missing", "denied", "old", "failed". */
export class Failure extends Error {
    constructor(error, output = "") {
        const said = (error.message || output || error.problem || "it failed").trim();
        // systemctl ends with where to look for more.
        super(said.split("\n").filter(line => line && !line.startsWith("See ")).pop() || "it failed");
        this.kind = "failed";
        if (error.problem === "not-found")
            this.kind = "missing";
        else if (error.problem === "access-denied" || isDenial(said))
            this.kind = "denied";
        else if (error.exit_status === 64)
            this.kind = "old";
    }
}

function isDenial(said) {
    return /interactive authentication required|access denied|permission denied|not permitted|only root|as root\b/i.test(said);
}

function run(words, options = {}) {
    const process = cockpit.spawn(words, { ...RIGHTS, ...options });
    return new Promise((resolve, reject) => {
        process.then(output => resolve(output), (error, output) => reject(new Failure(error, output)));
    });
}

/** Calls `onDocument` with what `sendrecv status --json` says, again and again, and `onFailure` when
 *  there is nothing more to come; it tries again then by itself. Returns { restart, pause }. */
export function follow(onDocument, onFailure) {
    let process = null;
    let timer = null;
    let failures = 0;

    function start() {
        stop();
        let rest = "";
        const mine = cockpit.spawn(["sendrecv", "status", "--json", "--follow"], RIGHTS);
        process = mine;
        mine.stream(data => {
            const lines = (rest + data).split("\n");
            rest = lines.pop();
            const last = lines.pop(); // the newest one is enough
            if (last && mine === process) {
                failures = 0;
                onDocument(JSON.parse(last));
            }
        });
        const again = (error, output) => {
            if (mine !== process) // stopped by us
                return;
            onFailure(new Failure(error || { message: "sendrecv status has ended" }, output));
            timer = window.setTimeout(start, RETRY[Math.min(failures++, RETRY.length - 1)]);
        };
        mine.then(() => again(null, ""), again);
    }

    function stop() {
        window.clearTimeout(timer);
        const mine = process;
        process = null;
        if (mine)
            mine.close("cancelled");
    }

    return { restart: start, pause: stop };
}

/** The newest takeovers and starts, the newest last: of one App since ever, or of all lately. */
export async function history(instance = null) {
    const words = instance === null ? [`--since=-${RECENT}s`] : ["--", instance];
    const output = await run(["sendrecv", "history", "--json", ...words]);
    return JSON.parse(output).events.slice(-MOST);
}

/* The picture goes into a file, as `sendrecv proof --svg` has it, and that into a directory that
 * nobody else can write. Both come back as one text. A verdict is no failure of the command: its
 * exit status is the first line. */
const PROOF = `
directory=$(mktemp -d) || exit
trap 'rm -rf "$directory"' EXIT
sendrecv proof --json --svg "$directory/picture" "$@" > "$directory/verdict" &
trap 'kill "$!"; exit 1' TERM INT HUP
wait "$!" || status=$?
[ "\${status:-0}" -le 2 ] || exit "$status"
cat "$directory/verdict"
printf '\\036'
cat "$directory/picture"
`;

/** The verdict of an App, and its picture as the text of an SVG. since: "" for all that there is.
 *  Returns { done: a promise, cancel }. */
export function prove(instance, since) {
    const words = since ? [`--since=${since}`] : [];
    const process = cockpit.script(PROOF, [...words, "--", instance], RIGHTS);
    const done = new Promise((resolve, reject) => {
        process.then(output => {
            const [verdict, picture] = output.split("\x1e");
            resolve({ verdict: JSON.parse(verdict), picture: picture || "" });
        }, (error, output) => reject(new Failure(error, output)));
    });
    return { done, cancel: () => process.close("cancelled") };
}

/** Whether Cockpit has been given the rights of root: calls back with true, false, or null if that
 *  is not known yet; again when it changes. */
export function watchRights(onChange) {
    const permission = cockpit.permission({ admin: true });
    const tell = () => onChange(permission.allowed);
    permission.addEventListener("changed", tell);
    tell();
}

/** What a person can do with an App, each as the words of a command. */
export const commands = {
    /** To: a half, or a host. */
    move: (app, to, reason) => ["sendrecv", "move", ...reasonOf(reason), "--", app.instance, to],
    pause: (app, reason) => ["sendrecv", "pause", ...reasonOf(reason), "--", app.instance],
    resume: app => ["sendrecv", "resume", "--", app.instance],
    start: app => ["systemctl", "start", `sender@${app.instance}.service`],
    stop: app => ["systemctl", "stop", `sendrecv@${app.instance}.target`],
};

function reasonOf(reason) {
    return reason ? [`--reason=${reason}`] : [];
}

/** Do it. Rejects with a Failure. */
export function order(words) {
    return run(words);
}
