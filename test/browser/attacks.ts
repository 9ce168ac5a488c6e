import type { Page } from "playwright-core";

/** Something that a hostile page can make its visitor's browser send to a mount. */
export interface Attack {
  readonly name: string;
  /** What reaches the mount. */
  readonly arrives: "GET" | "POST" | "OPTIONS" | "upgrade";
  /** The browser leaves the page for it, so it also sends cookies that are kept from other sites otherwise. */
  readonly leaves?: true;
  /** Sent from a page without an origin. */
  readonly opaque?: true;
  /** Answers `"read"` when the page could read what came back. */
  readonly start: (page: Page, mount: string) => Promise<unknown>;
}

const endpoint = "/fal.run/demo/echo";

/** Puts markup into the page. Scripts in it do not run; everything else loads. */
const insert =
  (toMarkup: (url: string) => string): Attack["start"] =>
  (page, mount) =>
    page.evaluate((markup) => document.body.insertAdjacentHTML("beforeend", markup), toMarkup(mount + endpoint));

const form =
  (type: string, redirect = ""): Attack["start"] =>
  async (page, mount) => {
    await page.evaluate(
      ([action, enctype]) => {
        const element = document.createElement("form");
        Object.assign(element, { method: "post", action, enctype });
        element.innerHTML = `<input name='{"prompt":"' value='"}'>`;
        document.body.append(element);
        element.submit();
      },
      [redirect === "" ? mount + endpoint : redirect + encodeURIComponent(mount + endpoint), type] as const,
    );
    await left(page);
  };

/** The refusal is shown where the page was: then its next address can be opened. */
function left(page: Page): Promise<void> {
  return page.waitForURL(`**${endpoint}`);
}

interface Init {
  readonly method?: string;
  readonly mode?: RequestMode;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** Sends with cookies; answers whether the page could read what came back. */
const request =
  (url: string, init: Init): Attack["start"] =>
  (page, mount) =>
    page.evaluate(
      ([to, given]) =>
        fetch(to, { credentials: "include", ...given }).then(
          ({ type }) => (type === "opaque" ? undefined : "read"),
          () => undefined,
        ),
      [mount + url, init] as const,
    );

const target = { "x-fal-target-url": "https://fal.run/demo/echo" };
const text = { "content-type": "text/plain" };

export const attacks: readonly Attack[] = [
  { name: "a form", arrives: "POST", leaves: true, start: form("application/x-www-form-urlencoded") },
  { name: "a form that looks like JSON", arrives: "POST", leaves: true, start: form("text/plain") },
  { name: "a form with files", arrives: "POST", leaves: true, start: form("multipart/form-data") },
  { name: "a form that is redirected", arrives: "POST", leaves: true, start: form("text/plain", "/redirect?to=") },
  { name: "a picture", arrives: "GET", start: insert((url) => `<img src="${url}">`) },
  { name: "a style sheet", arrives: "GET", start: insert((url) => `<link rel="stylesheet" href="${url}">`) },
  { name: "a film", arrives: "GET", start: insert((url) => `<video src="${url}"></video>`) },
  { name: "a frame", arrives: "GET", start: insert((url) => `<iframe src="${url}"></iframe>`) },
  { name: "an object", arrives: "GET", start: insert((url) => `<object data="${url}"></object>`) },
  {
    name: "a script",
    arrives: "GET",
    start: (page, mount) =>
      page.evaluate((src) => {
        document.body.append(Object.assign(document.createElement("script"), { src }));
      }, mount + endpoint),
  },
  {
    name: "a link",
    arrives: "GET",
    leaves: true,
    async start(page, mount) {
      await insert((url) => `<a href="${url}">a prize</a>`)(page, mount);
      await page.getByText("a prize").click({ noWaitAfter: true });
      await left(page);
    },
  },
  {
    name: "a link that pings",
    arrives: "POST",
    async start(page, mount) {
      await insert((url) => `<a href="#here" ping="${url}">a prize</a>`)(page, mount);
      await page.getByText("a prize").click();
    },
  },
  {
    name: "a window",
    arrives: "GET",
    leaves: true,
    async start(page, mount) {
      const opening = page.context().waitForEvent("page");
      await page.evaluate((url) => void open(url), mount + endpoint);
      const opened = await opening;
      await left(opened);
      await opened.close();
    },
  },
  {
    name: "fetch without CORS",
    arrives: "POST",
    start: request(endpoint, { method: "POST", mode: "no-cors", body: "{}" }),
  },
  { name: "fetch without CORS, GET", arrives: "GET", start: request(endpoint, { mode: "no-cors" }) },
  { name: "fetch", arrives: "POST", start: request(endpoint, { method: "POST", headers: text, body: "{}" }) },
  { name: "fetch, GET", arrives: "GET", start: request(endpoint, {}) },
  {
    name: "fetch with JSON",
    arrives: "OPTIONS",
    start: request(endpoint, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }),
  },
  {
    name: "fetch in header form",
    arrives: "OPTIONS",
    start: request("", { method: "POST", headers: { ...target, ...text }, body: "{}" }),
  },
  { name: "fetch in header form, GET", arrives: "OPTIONS", start: request("", { headers: target }) },
  {
    name: "fetch of a cancel",
    arrives: "OPTIONS",
    start: request("/queue.fal.run/demo/echo/requests/1/cancel", { method: "PUT" }),
  },
  {
    name: "fetch of a page without an origin",
    arrives: "POST",
    opaque: true,
    start: insert(
      (url) =>
        `<iframe sandbox="allow-scripts" srcdoc="<script>fetch('${url}',{method:'POST',credentials:'include',body:'{}'})</script>"></iframe>`,
    ),
  },
  {
    name: "a beacon",
    arrives: "POST",
    start: (page, mount) => page.evaluate((url) => navigator.sendBeacon(url, "{}"), mount + endpoint),
  },
  {
    name: "server-sent events",
    arrives: "GET",
    start: (page, mount) =>
      page.evaluate((url) => {
        const source = new EventSource(url, { withCredentials: true });
        source.addEventListener("error", () => source.close());
      }, `${mount}${endpoint}/stream`),
  },
  {
    name: "a WebSocket",
    arrives: "upgrade",
    start: (page, mount) =>
      page.evaluate(
        (url) => {
          const socket = new WebSocket(url);
          return new Promise((resolve) => socket.addEventListener("close", resolve)).then(() => undefined);
        },
        `${mount.replace(/^http/, "ws")}${endpoint}/realtime`,
      ),
  },
];
