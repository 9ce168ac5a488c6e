import type { Mount } from "../mount.ts";
import { createNextHost } from "../next-host.ts";

export const nextApp: Mount = {
  name: "next-app",
  transport: "web",
  limits: {
    "answer length":
      "Next takes content-length off what route handlers answer, so a download shows no total. The pages router keeps it.",
    "peer address": "Next tells a route handler no peer address. Behind a reverse proxy state `trustProxy: 1`.",
    "double slash":
      "Next answers 308 to a path with `//` before the route is asked. Use the header form, which fal's clients do.",
    "query spelling":
      "Next parses the query and writes it anew: `?flag` becomes `?flag=`, in path form. Use the header form.",
  },
  answersItself: {
    "target URL: an empty segment in the path": 308,
    "target URL: a whole URL in the path": 308,
    "methods: QUERY fal.run/demo/echo": 400,
    "methods: PROPFIND fal.run/demo/echo": 400,
    "methods: TRACE, which a Request cannot be": 500,
    "methods: OPTIONS of the server": 500,
    "request headers: an absolute request line to another host": 308,
    "request headers: an absolute request line to fal": 308,
  },
  startMount: createNextHost("next-app"),
};
