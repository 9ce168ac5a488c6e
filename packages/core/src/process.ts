/**
 * One value per process: bundlers put this package into a process more than once (Next.js: once per route), so a module's own
 * variable is no place for it.
 */
export function ofProcess<T>(name: string, create: () => T): T {
  const scope = globalThis as { [key: symbol]: unknown };
  const key = Symbol.for(`@keyway/core 2 ${name}`);
  scope[key] ??= create();
  return scope[key] as T;
}
