// What PM2 with Socket.IO gives: a sender, a fallback and a receiver, and a controller that starts the
// fallback when PM2 says that the sender threw (the programmatic failover that its users write).
//   node pair.js receiver|sender|fallback|controller
"use strict";
const PORT = 3500;
const role = process.argv[2];
const now = () => Number(process.hrtime.bigint()) / 1e9; // the machine's monotonic clock

function receiver() {
  const { Server } = require("socket.io");
  new Server(PORT).on("connection", (socket) =>
    socket.on("count", (payload, answer) => {
      console.log(JSON.stringify({ at: now(), ...payload }));
      answer("ok");
    }),
  );
}

function sender(nodeID, first) {
  const { io } = require("socket.io-client");
  const socket = io(`http://127.0.0.1:${PORT}`, { transports: ["websocket"] });
  let count = first;
  setInterval(() => {
    if (socket.connected) {
      socket.emit("count", { count, appID: "peer", nodeID }, () => {});
      if (process.send) process.send({ type: "process:msg", data: { count } });
      count += 1;
    }
  }, 1000);
}

function controller() {
  const pm2 = require("pm2");
  let last = -1;
  pm2.connect(() =>
    pm2.launchBus((_error, bus) => {
      bus.on("process:msg", (packet) => (last = packet.raw?.count ?? packet.data.count));
      bus.on("process:exception", (packet) => {
        if (packet.process.name !== "sender") return;
        pm2.stop("sender", () =>
          pm2.start({ name: "fallback", script: __filename, args: ["fallback", String(last + 1)] }),
        );
      });
    }),
  );
}

({
  receiver,
  sender: () => sender("main", 0),
  fallback: () => sender("failover", Number(process.argv[3])),
  controller,
})[role]();
