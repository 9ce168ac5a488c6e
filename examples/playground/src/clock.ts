/** Measures one run at a time. */
export interface Clock {
  /** Milliseconds since the start. */
  elapsed(): number;
  start(): void;
  stop(): void;
  readonly isRunning: boolean;
}

/** Tells the time ten times a second while it runs, and once more when it stops. */
export function createClock(tell: (elapsed: number) => void): Clock {
  let startedAt = 0;
  let timer: number | undefined;
  const elapsed = (): number => performance.now() - startedAt;
  const stop = (): void => {
    if (timer === undefined) return;
    window.clearInterval(timer);
    timer = undefined;
    tell(elapsed());
  };
  return {
    elapsed,
    start() {
      stop();
      startedAt = performance.now();
      timer = window.setInterval(() => tell(elapsed()), 100);
      tell(0);
    },
    stop,
    get isRunning() {
      return timer !== undefined;
    },
  };
}
