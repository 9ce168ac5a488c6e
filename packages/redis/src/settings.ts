/** A second at most, so that the store is back soon after Redis is. */
function reconnectIn(attempt: number): number {
  return Math.min(50 * 2 ** Math.min(attempt, 5), 1000);
}

/** What an ioredis client needs for {@link createRedisStore}: nothing waits or is sent twice, and a dead connection is noticed. */
export interface IoredisSettings {
  readonly enableOfflineQueue: false;
  readonly autoResendUnfulfilledCommands: false;
  readonly maxRetriesPerRequest: 0;
  readonly connectTimeout: number;
  readonly socketTimeout: number;
  readonly retryStrategy: (attempt: number) => number;
}

/** @example new Redis(url, { ...ioredisSettings }) */
export const ioredisSettings: IoredisSettings = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 2000,
  socketTimeout: 2000,
  retryStrategy: reconnectIn,
};

/** The same for a node-redis client. */
export interface NodeRedisSettings {
  readonly disableOfflineQueue: true;
  readonly pingInterval: number;
  readonly socket: {
    readonly connectTimeout: number;
    readonly socketTimeout: number;
    readonly reconnectStrategy: (attempt: number) => number;
  };
}

/** @example createClient({ url, ...nodeRedisSettings }) */
export const nodeRedisSettings: NodeRedisSettings = {
  disableOfflineQueue: true,
  pingInterval: 1000,
  socket: { connectTimeout: 2000, socketTimeout: 3000, reconnectStrategy: reconnectIn },
};
