/** What the store needs of ioredis 6, one server or a cluster. */
export interface IoredisClient {
  evalsha(sha: string, keyCount: number, ...args: string[]): Promise<unknown>;
  eval(script: string, keyCount: number, ...args: string[]): Promise<unknown>;
  connect(): Promise<void>;
  readonly status: string;
  on(event: "error" | "ready", listener: () => void): unknown;
}

/** What the store needs of node-redis 6: `createClient`, `createCluster`, `createSentinel` or `createClientPool`. */
export interface NodeRedisClient {
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  readonly isOpen: boolean;
  readonly isReady?: boolean;
  on(event: "error" | "ready", listener: () => void): unknown;
}

/** A connected client of the app's own. */
export type RedisClient = IoredisClient | NodeRedisClient;

/** One client, whichever it is. */
export interface ScriptRunner {
  /** Runs a script that Redis has already. */
  run(sha: string, key: string, args: readonly string[]): Promise<unknown>;
  /** Runs a script and lets Redis keep it. */
  load(script: string, key: string, args: readonly string[]): Promise<unknown>;
  /** `"connecting"` only the first time, and only until that fails. */
  state(): "ready" | "connecting" | "down";
  /** Calls back once when the client is ready for the first time. */
  whenReady(listener: () => void): void;
}

const runners = new WeakMap<RedisClient, ScriptRunner>();

/** Several stores on one client share what listens to it. */
export function runnerOf(client: RedisClient): ScriptRunner {
  const known = runners.get(client) ?? createRunner(client);
  runners.set(client, known);
  return known;
}

function createRunner(client: RedisClient): ScriptRunner {
  let wasReady = false;
  let hasFailed = false;
  const waiting: (() => void)[] = [];
  // Errors of the connection show in the calls that fail; without a listener node-redis would end the process.
  client.on("error", () => {
    hasFailed = true;
  });
  client.on("ready", () => {
    wasReady = true;
    for (const tell of waiting.splice(0)) tell();
  });
  return {
    ...callsOf(client),
    state() {
      const state = stateOf(client);
      wasReady ||= state === "ready";
      return state === "connecting" && (wasReady || hasFailed) ? "down" : state;
    },
    whenReady: (listener) => void waiting.push(listener),
  };
}

function callsOf(client: RedisClient): Pick<ScriptRunner, "run" | "load"> {
  if ("evalsha" in client)
    return {
      run: (sha, key, args) => client.evalsha(sha, 1, key, ...args),
      load: (script, key, args) => client.eval(script, 1, key, ...args),
    };
  return {
    run: (sha, key, args) => client.evalSha(sha, { keys: [key], arguments: [...args] }),
    load: (script, key, args) => client.eval(script, { keys: [key], arguments: [...args] }),
  };
}

function stateOf(client: RedisClient): "ready" | "connecting" | "down" {
  if ("evalsha" in client) {
    if (client.status === "ready") return "ready";
    // A lazy client connects when it is first used.
    if (client.status === "wait") client.connect().catch(() => undefined);
    return client.status === "connecting" || client.status === "connect" ? "connecting" : "down";
  }
  if (!client.isOpen) return "down";
  return client.isReady === false ? "connecting" : "ready";
}

/** True where the options show another host and no TLS. */
export function isPlainToElsewhere(client: object): boolean {
  const { host, path, tls, url, socket } = fieldsOf("options" in client ? client.options : undefined);
  if (typeof url === "string") return /^redis:\/\//i.test(url) && !isLocal(hostOf(url));
  const own = fieldsOf(socket);
  const name = own["host"] ?? host;
  const isSocket = typeof path === "string" || typeof own["path"] === "string";
  const isTls = (tls !== undefined && tls !== false) || own["tls"] === true;
  return typeof name === "string" && !isSocket && !isTls && !isLocal(name);
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : "";
}

function isLocal(host: string): boolean {
  return host === "" || /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}
