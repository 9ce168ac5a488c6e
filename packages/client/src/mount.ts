/** Where Keyway is mounted, as the page finds it: `/api/fal/proxy`, or a whole URL when it is on another origin. */
export interface MountOptions {
  readonly proxyUrl: string;
}

/** The mount as a whole URL without a slash at its end. Throws a TypeError for what is no http(s) URL, or is relative with no page around. */
export function toMountUrl(proxyUrl: string): string {
  const base = globalThis.location?.href;
  if (!URL.canParse(proxyUrl, base)) {
    throw new TypeError(
      base === undefined
        ? `proxyUrl "${proxyUrl}" is relative, and there is no page here: write the whole URL, such as "https://app.example/api/fal/proxy".`
        : `proxyUrl "${proxyUrl}" is not a URL: write the proxy's mount, such as "/api/fal/proxy".`,
    );
  }
  const url = new URL(proxyUrl, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`proxyUrl must be an http or https URL or a path such as "/api/fal/proxy", not "${proxyUrl}".`);
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}
