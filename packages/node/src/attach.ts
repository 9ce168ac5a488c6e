import { subscribe } from "node:diagnostics_channel";
import { type IncomingMessage, Server as HttpServer } from "node:http";
import { Server as HttpsServer } from "node:https";
import type { Server } from "node:net";
import type { Duplex } from "node:stream";
import { isPathForm } from "@keyway/core";
import { asksForSocket } from "./handshake.ts";
import { leaveToOthers } from "./unclaimed.ts";

/** What a proxy is to the servers it is attached to. */
export interface Carrier {
  /** The mount's public path, where it is stated. */
  readonly path: string | undefined;
  /** Whether a handshake is addressed to this proxy. */
  takes(req: IncomingMessage): boolean;
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Starts the closing handshake of the sockets that came by a server. */
  drain(server: Server): void;
  /** How long others may take to answer what is theirs, in milliseconds. */
  readonly patience: number;
}

/** A server of node:http or node:https, or what holds one in `server`, as Polka does (SvelteKit's adapter-node 5). */
export type Attachable = Server | { readonly server?: Server | undefined };

/** Carriers of one server or of the whole process, by path: a reloaded module takes the place of its older self. */
type Carriers = Map<string | undefined, Carrier>;

interface Attached {
  readonly carriers: Carriers;
  /** Loads the app, in development servers that do so with the first request. */
  load: (() => Promise<unknown>) | undefined;
}

/** Bundlers may hold this module twice in a process: servers and process know what is attached by a symbol of the registry. */
const mark: unique symbol = Symbol.for("@keyway/node attached");

/**
 * Gives a carrier the upgrades of a server that are addressed to it, before any other listener sees them: some frameworks destroy
 * sockets whose path is a route of theirs. Everything else reaches the other listeners as it always did.
 */
export function attachTo(given: Attachable, carrier: Carrier): void {
  put(intercept(serverOf(given)).carriers, carrier);
}

/** Gives a carrier the upgrades of every HTTP server of this process, from the server's next connection on. */
export function attachEverywhere(carrier: Carrier): void {
  const scope = globalThis as { [mark]?: Carriers };
  if (scope[mark] === undefined) {
    scope[mark] = new Map();
    subscribe("net.server.socket", (message) => {
      const { server } = (message as { socket: { server?: unknown } }).socket;
      if (server instanceof HttpServer || server instanceof HttpsServer) intercept(server);
    });
  }
  put(scope[mark], carrier);
}

/** For development servers that load the app with its first request: has it loaded before an upgrade to a proxy is decided. */
export function attachOnLoad(given: Attachable, load: () => Promise<unknown>): void {
  intercept(serverOf(given)).load = load;
}

function serverOf(given: Attachable): Server {
  if ("server" in given && given.server !== undefined) return given.server;
  if ("emit" in given && "close" in given) return given;
  throw new TypeError("attach takes a server of node:http or node:https: attach(server, keyway)");
}

function put(carriers: Carriers, carrier: Carrier): void {
  carriers.delete(carrier.path);
  carriers.set(carrier.path, carrier);
}

function intercept(server: Server): Attached {
  const known = (server as { [mark]?: Attached })[mark];
  if (known !== undefined) return known;
  const attached: Attached = { carriers: new Map(), load: undefined };
  Object.defineProperty(server, mark, { value: attached });
  const emit = server.emit.bind(server) as (event: string | symbol, ...rest: unknown[]) => boolean;
  const close = server.close.bind(server);
  // Node reads an upgrade as a plain request where nobody listens for it.
  server.on("upgrade", listening);
  ignoreOtherProtocols(server);
  server.emit = (event: string | symbol, ...rest: unknown[]) => {
    if (event !== "upgrade") return emit(event, ...rest);
    const [req, socket, head] = rest as [IncomingMessage, Duplex, Buffer];
    receive(server, attached, { req, socket, head }, () => emit(event, ...rest));
    return true;
  };
  // Node waits for every open socket before a server is closed.
  server.close = (done) => {
    for (const carrier of carriersOf(attached)) carrier.drain(server);
    return close(done);
  };
  return attached;
}

/**
 * A server may ignore an upgrade (RFC 9110, section 7.8), as Node does where nobody listens: what is no WebSocket, such as curl's offer of
 * h2c, stays a plain request while the proxy alone listens. Node asks this before it takes a socket from HTTP, since 24.9.
 */
function ignoreOtherProtocols(server: Server): void {
  const asked = server as { shouldUpgradeCallback?: (req: IncomingMessage) => boolean };
  const before = asked.shouldUpgradeCallback;
  if (typeof before !== "function") return;
  asked.shouldUpgradeCallback = (req) =>
    before.call(server, req) && (asksForSocket(req) || server.listenerCount("upgrade") > 1);
}

function listening(): void {
  // The upgrade is dealt with before listeners are called.
}

interface Upgrade {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

function receive(server: Server, attached: Attached, upgrade: Upgrade, others: () => void): void {
  const { req, socket, head } = upgrade;
  const decide = (): void => {
    const carrier = findCarrier(req, attached);
    if (carrier !== undefined) return carrier.upgrade(req, socket, head);
    leaveToOthers(req, socket, server.listenerCount("upgrade") - 1, carriersOf(attached)[0]?.patience ?? patience);
    others();
  };
  if (attached.load === undefined || !isPathForm(pathOf(req), undefined)) return decide();
  const onError = (): void => void socket.destroy();
  socket.on("error", onError);
  const loaded = (): void => {
    socket.off("error", onError);
    if (!socket.destroyed) decide();
  };
  attached.load().then(loaded, loaded);
}

/** Where no proxy is attached that could say it. Milliseconds. */
const patience = 10_000;

/** The newest first: those of the server, then those of the process. */
function carriersOf({ carriers }: Attached): Carrier[] {
  return [...newestFirst(carriers), ...newestFirst(ofProcess())];
}

function findCarrier(req: IncomingMessage, { carriers }: Attached): Carrier | undefined {
  const own = newestFirst(carriers).find((carrier) => carrier.takes(req));
  if (own !== undefined) return own;
  // A mount at the root of every server would take the upgrades of an emulator in the same process.
  const atRoot = isPathForm(pathOf(req), "");
  return newestFirst(ofProcess()).find((carrier) => carrier.takes(req) && (!atRoot || carrier.path === ""));
}

function ofProcess(): Carriers {
  return (globalThis as { [mark]?: Carriers })[mark] ?? new Map();
}

function newestFirst(carriers: Carriers): Carrier[] {
  return [...carriers.values()].toReversed();
}

export function pathOf({ url = "/" }: IncomingMessage): string {
  const mark = url.indexOf("?");
  return mark < 0 ? url : url.slice(0, mark);
}
