/** What is given over a standard: what it states counts, and what it leaves out or undefined stays. */
export function withDefaults<T extends object>(given: Partial<T> | undefined, standard: T): T {
  const stated = Object.entries(given ?? {}).filter(([, value]) => value !== undefined);
  return { ...standard, ...Object.fromEntries(stated) };
}
