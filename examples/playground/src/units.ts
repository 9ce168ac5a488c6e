/** "840 ms", "1.4 s", "2 min 5 s". */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return formatSeconds(ms);
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
}

/** "1.4 s". */
export function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** "512 B", "1.4 kB", "91.0 MB". */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** "$0.05", "$1.00", and "$0.003" where cents do not tell it. */
export function formatMoney(usd: number): string {
  const cents = usd.toFixed(2);
  return `$${Math.abs(Number(cents) - usd) < 1e-9 ? cents : usd.toFixed(3)}`;
}
