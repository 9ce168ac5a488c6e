import { createKitHost } from "../kit-host.ts";
import type { Mount } from "../mount.ts";

export const sveltekit: Mount = {
  name: "sveltekit",
  transport: "web",
  answersItself: {
    "methods: QUERY fal.run/demo/echo": 405,
    "methods: PROPFIND fal.run/demo/echo": 405,
    "methods: TRACE, which a Request cannot be": 400,
    "methods: OPTIONS of the server": 400,
    "request headers: an absolute request line to another host": 404,
    "request headers: HTTP/1.0": 400,
  },
  startMount: createKitHost("Infinity"),
};
