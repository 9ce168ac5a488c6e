import { cookieOf, valueOf } from "../head.ts";
import type { Settings } from "../options.ts";
import type { AskedCall, Asker, AuthorizeContext } from "./caller.ts";

/** A class, because an object with getters of its own is slow to make, and every call makes one. */
class Context implements AuthorizeContext {
  readonly call: AskedCall;
  readonly cookie: (name: string) => string | undefined;
  readonly address: string | undefined;
  readonly secure: boolean;
  readonly ownOrigin: string | undefined;
  readonly native: unknown;
  readonly #given: Asker["head"]["headers"];
  #headers: Headers | undefined;

  constructor(
    { head, native }: Asker,
    { kind, method, host, endpoint, app }: AskedCall,
    rest: Pick<AuthorizeContext, "address" | "secure" | "ownOrigin">,
  ) {
    this.call = { kind, method, host, endpoint, app };
    this.cookie = (name) => cookieOf(head.headers, name);
    this.address = rest.address;
    this.secure = rest.secure;
    this.ownOrigin = rest.ownOrigin;
    this.native = native;
    this.#given = head.headers;
  }

  /** Made when it is asked for: most apps read a cookie only. */
  get headers(): Headers {
    this.#headers ??= new Headers(
      this.#given.filter(([name]) => !name.startsWith(":")).map(([name, value]) => [name, value]),
    );
    return this.#headers;
  }
}

/** What the app is asked with about one call. */
export function createContext(
  door: Asker,
  call: AskedCall,
  address: string | undefined,
  { publicUrl }: Settings,
): AuthorizeContext {
  const { head } = door;
  if (publicUrl !== undefined) {
    const { origin } = publicUrl;
    return new Context(door, call, { address, secure: origin.startsWith("https:"), ownOrigin: origin });
  }
  const { secure } = head;
  const host = valueOf(head.headers, "host");
  const ownOrigin = host === undefined ? undefined : `${secure ? "https" : "http"}://${host}`;
  return new Context(door, call, { address, secure, ownOrigin });
}
