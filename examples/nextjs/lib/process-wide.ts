/** One value per process: Next bundles routes apart, so a module's own variable may exist more than once. */
export function processWide<T>(name: string, create: () => T): T {
  const scope = globalThis as { [key: symbol]: unknown };
  const key = Symbol.for(`keyway-example ${name}`);
  scope[key] ??= create();
  return scope[key] as T;
}
