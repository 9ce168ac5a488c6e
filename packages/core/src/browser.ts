/** What a page's bundle gets in place of the proxy. Nothing is exported, so a bundler that looks for a name stops there. */
throw new Error("@keyway/core holds the key, so it runs on the server only: call its mount by proxyUrl from the page");

export {};
