// A Socket.IO client of npm's that counts, ten times a second, whatever becomes of its connection.
//
//     node counting.js URL APP_ID
//
// It keeps what is not acknowledged, as the protocol in README.md says. On SIGTERM it waits for its
// last count to be acknowledged, and prints that.

"use strict";

const { readFileSync } = require("node:fs");
const { io } = require("socket.io-client");

const [url, appID] = process.argv.slice(2);
const RETRY = 100; // milliseconds, as between two counts
const token = readFileSync("/etc/sendrecv/token", "ascii").trim();
const auth = { appID, nodeID: "main", epoch: 1, run: "c".repeat(32), token };
const socket = io(url, { auth, reconnection: false, timeout: 5000 });

let taken = -1;
let acknowledged = -1;
let stopping = false;

function again() {
  setTimeout(() => socket.connect(), RETRY);
}

// What is not acknowledged, as one batch, until the connection ends.
async function send() {
  acknowledged = (await socket.timeout(5000).emitWithAck("resume")).last ?? -1;
  taken = Math.max(taken, acknowledged);
  while (socket.connected) {
    const counts = Array.from({ length: taken - acknowledged }, (_, n) => acknowledged + 1 + n);
    if (counts.length) {
      const batch = counts.slice(0, 512).map((count) => ({ count, appID, nodeID: "main" }));
      const { last } = await socket.timeout(5000).emitWithAck("count", ...batch);
      acknowledged = last ?? -1;
    } else if (stopping) {
      console.log(`acknowledged ${acknowledged}`);
      process.exit(0);
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

socket.on("connect", () => send().catch(() => socket.disconnect()));
socket.on("connect_error", again);
socket.on("disconnect", again);
process.on("SIGTERM", () => (stopping = true));
setInterval(() => (taken += stopping ? 0 : 1), RETRY);
