// What a Socket.IO client of npm's makes of the receiver, by its documented protocol.
//
//     node client.js URL APP_ID TRANSPORT...
//
// Prints one JSON object, what was seen at each step; tests/system/test_javascript.py judges it.

"use strict";

const { readFileSync } = require("node:fs");
const { io } = require("socket.io-client");

const [url, appID, ...transports] = process.argv.slice(2);
const token = readFileSync("/etc/sendrecv/token", "ascii").trim();
const OTHER_RUN = "b".repeat(32);
const seen = {};

function payloads(first, last) {
  const counts = Array.from({ length: last - first + 1 }, (_, n) => first + n);
  return counts.map((count) => ({ count, appID, nodeID: "main" }));
}

function open(claim) {
  const auth = { appID, nodeID: "main", epoch: 1, run: "a".repeat(32), token, ...claim };
  return io(url, { auth, transports, forceNew: true, reconnection: false, timeout: 10000 });
}

// The socket, connected; or what the receiver refuses it with.
function connect(claim) {
  const socket = open(claim);
  return new Promise((resolve) => {
    socket.on("connect", () => resolve({ socket }));
    socket.on("connect_error", (error) => {
      socket.close();
      resolve({ refused: error.data, message: error.message });
    });
  });
}

function ask(socket, ...event) {
  return socket.timeout(10000).emitWithAck(...event);
}

function disconnected(socket) {
  return new Promise((resolve) => socket.on("disconnect", resolve));
}

// The transport in the end: long polling may be upgraded.
async function transport(socket) {
  const engine = socket.io.engine;
  if (engine.transport.name === "polling" && transports.includes("websocket")) {
    await new Promise((resolve) => engine.on("upgrade", resolve));
  }
  return engine.transport.name;
}

async function refusals() {
  seen.wrongToken = (await connect({ token: token.slice(0, -1) + "!" })).refused;
  seen.noToken = (await connect({ token: undefined })).refused;
  seen.invalid = (await connect({ epoch: "1" })).refused;
}

async function counting(socket) {
  seen.resumed = await ask(socket, "resume");
  seen.first = await ask(socket, "count", ...payloads(0, 0));
  seen.duplicate = await ask(socket, "count", ...payloads(0, 0));
  seen.gap = await ask(socket, "count", ...payloads(2, 2));
  seen.batch = await ask(socket, "count", ...payloads(0, 511));
  seen.transport = await transport(socket);
  seen.upgraded = await ask(socket, "count", ...payloads(512, 1023));
}

async function mistakes(socket) {
  seen.notAnObject = await ask(socket, "count", 1024);
  seen.notANumber = await ask(socket, "count", { count: "1024", appID, nodeID: "main" });
  seen.notItsNode = await ask(socket, "count", { count: 1024, appID, nodeID: "failover" });
  seen.noSuchEvent = await ask(socket, "counts", ...payloads(1024, 1024));
  socket.emit("count", Buffer.from("binary"));
  seen.afterwards = await ask(socket, "count", ...payloads(1024, 1024));
}

// The same run connects once more: the older connection is cut off.
async function reconnecting(older) {
  const cut = disconnected(older);
  const { socket } = await connect({});
  seen.cutOff = await cut;
  seen.resumedAgain = await ask(socket, "resume");
  seen.goesOn = await ask(socket, "count", ...payloads(1025, 1025));
  return socket;
}

async function takeover(older) {
  seen.otherRun = (await connect({ run: OTHER_RUN })).refused;
  const cut = disconnected(older);
  const { socket } = await connect({ epoch: 7, run: OTHER_RUN });
  seen.takenOver = await cut;
  seen.stale = (await connect({})).refused;
  seen.resumedByOther = await ask(socket, "resume");
  seen.lastOne = await ask(socket, "count", ...payloads(1026, 1026));
  socket.close();
}

async function main() {
  await refusals();
  const { socket, message } = await connect({});
  if (!socket) throw new Error(message);
  await counting(socket);
  await mistakes(socket);
  await takeover(await reconnecting(socket));
  console.log(JSON.stringify(seen));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error, JSON.stringify(seen));
    process.exit(1);
  },
);
