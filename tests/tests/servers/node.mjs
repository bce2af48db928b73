// HTTP/1.1 on the first port, HTTP/2 and 1.1 over TLS on the second, HTTP/2 without TLS on the third. The fourth argument
// has options as JSON: delay (ms), streams (a connection), keepAlive (ms). On SIGTERM it writes its log. A line has the
// number of the connection, the status, the version, and the most connections that had been open at once by then.
import { readFileSync, writeFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";

const [plain, tls, h2c] = process.argv.slice(2, 5).map(Number);
const { delay = 0, streams, keepAlive = 60_000 } = JSON.parse(process.argv[5] || "{}");
const log = [];
const numbers = new Map();
let accepted = 0;
let open = 0;
let mostOpen = 0;

function connected(socket) {
  // By port, since the sockets of TLS and HTTP/2 that a request has are other objects.
  numbers.set(socket.remotePort, ++accepted);
  mostOpen = Math.max(mostOpen, ++open);
  socket.on("close", () => open--);
}

function answer(request, response) {
  const socket = request.stream?.session?.socket ?? request.socket;
  const connection = numbers.get(socket.remotePort);
  setTimeout(() => {
    response.end("ok");
    log.push(`${connection} 200 HTTP/${request.httpVersion} ${mostOpen}`);
  }, delay);
}

const settings = streams ? { maxConcurrentStreams: streams } : {};
const pem = { cert: readFileSync("certificate.pem"), key: readFileSync("key.pem") };
const servers = [
  [http.createServer({ keepAliveTimeout: keepAlive }, answer), plain],
  [http2.createSecureServer({ ...pem, settings, allowHTTP1: true }, answer), tls],
  [http2.createServer({ settings }, answer), h2c],
];
for (const [server, port] of servers) {
  server.on("connection", connected);
  server.listen({ port, host: "127.0.0.1", backlog: 4096 });
}
process.on("SIGTERM", () => {
  writeFileSync("access.log", log.map((line) => line + "\n").join(""));
  process.exit(0);
});
