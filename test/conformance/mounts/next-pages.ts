import type { Mount } from "../mount.ts";
import { createNextHost } from "../next-host.ts";

export const nextPages: Mount = {
  name: "next-pages",
  transport: "node",
  limits: {
    "double slash":
      "Next answers 308 to a path with `//` before the route is asked. Use the header form, which fal's clients do.",
    "query spelling":
      "Next parses the query and writes it anew: `?flag` becomes `?flag=`, in path form. Use the header form.",
    draining: "Next tells nobody that it shuts down. It lets open answers end by itself when it is sent SIGTERM.",
  },
  answersItself: {
    "target URL: an empty segment in the path": 308,
    "target URL: a whole URL in the path": 308,
    "methods: OPTIONS of the server": 500,
    "request headers: an absolute request line to another host": 308,
    "request headers: an absolute request line to fal": 308,
  },
  startMount: createNextHost("next-pages"),
};
