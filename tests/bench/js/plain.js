// The plain Node Socket.IO server and client of the benchmark.
//   node plain.js server PORT
//   node plain.js client PORT FLIGHT SECONDS     prints acknowledged events a second
"use strict";
const [role, port, flight, seconds] = process.argv.slice(2);

function server() {
  const { Server } = require("socket.io");
  new Server(Number(port)).on("connection", (socket) =>
    socket.on("count", (_payload, answer) => answer("ok")),
  );
}

function client() {
  const { io } = require("socket.io-client");
  const socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"] });
  let count = 0;
  let acknowledged = 0;
  const send = () =>
    socket.emit("count", { count: ++count, appID: "plain", nodeID: "main" }, () => {
      acknowledged += 1;
      send();
    });
  socket.on("connect", () => {
    for (let started = 0; started < Number(flight); started += 1) send();
    setTimeout(() => {
      console.log(acknowledged / Number(seconds));
      process.exit(0);
    }, Number(seconds) * 1000);
  });
}

({ server, client })[role]();
