// @fastify/reply-from in Fastify; bodies stream because no parser takes them. As many connections to upstream as there are calls, where it
// would open 128, and certificates are looked at, as all the others do.
import replyFrom from "@fastify/reply-from";
import fastify from "fastify";
import { key, megabyte } from "../payload.ts";
import { announce } from "./announce.ts";

const [upstream = ""] = process.argv.slice(2);
const app = fastify({ bodyLimit: 256 * megabyte });
await app.register(replyFrom, {
  base: upstream,
  undici: { connections: null, connect: { rejectUnauthorized: true } },
});
app.removeAllContentTypeParsers();
app.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
app.all("/*", (request, reply) =>
  reply.from(request.url, {
    rewriteRequestHeaders: (_request, headers) => ({ ...headers, authorization: `Key ${key}` }),
  }),
);
announce(await app.listen({ host: "127.0.0.1", port: 0 }));
