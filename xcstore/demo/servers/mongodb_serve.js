// node mongodb_serve.js MODULE FOLDER PORT: serve the data in FOLDER on a TCP port of loopback until stdin closes.
// The engine listens on a Unix socket of its own; each connection is piped to it.
"use strict";
const net = require("node:net");
const [module_, folder, port] = process.argv.slice(2);

require(module_).open(folder).then((embedded) => {
  const server = net.createServer({ noDelay: true }, (client) => {
    const engine = net.connect(embedded.socketPath);
    for (const [from, to] of [[client, engine], [engine, client]]) {
      from.pipe(to);
      from.on("error", () => to.destroy()); // a peer that went away ends its own connection only
      from.on("close", () => to.destroy());
    }
  });
  server.listen(Number(port), "127.0.0.1", () => console.log("ready"));
  server.on("error", fail);
  const stop = () => embedded.close().then(() => process.exit(0), fail);
  process.once("SIGTERM", stop);
  process.stdin.once("close", stop).resume();
}, fail);

function fail(error) {
  console.error(String(error));
  process.exit(1);
}
