// The bench's fal.ai, in a process of its own: refuses whatever lacks the injected key; answers 200 bytes; echoes WebSocket messages.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const body = Buffer.alloc(200, "x");
const server = createServer((req, res) => {
  if (req.headers.authorization !== "Key bench") return void res.writeHead(401).end();
  req.resume();
  req.on("end", () =>
    res.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body),
  );
});
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
server.listen(0, "127.0.0.1", () => process.send?.(server.address()));
process.on("disconnect", () => process.exit(0));
