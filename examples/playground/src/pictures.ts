import { createElement } from "./element.ts";

/** The pictures (and films and sounds) of an answer. */
export interface Pictures {
  readonly element: HTMLElement;
  /** Finds media anywhere in an answer and shows them in place of those before. True when there are any. */
  show(data: unknown, alternative: string): boolean;
  /** A frame that waits for its picture. */
  wait(): void;
  /** No frame: there is something else to show. */
  hide(): void;
  clear(): void;
}

interface Medium {
  readonly url: string;
  readonly type: "image" | "video" | "audio";
  readonly caption: string;
}

export function createPictures(): Pictures {
  const element = createElement("div", { class: "pictures" });
  const frame = (state: "empty" | "waiting" | "full", ...children: HTMLElement[]): void => {
    element.hidden = false;
    element.dataset["state"] = state;
    element.replaceChildren(...children);
  };
  const clear = (): void => frame("empty", createElement("p", {}, "The result appears here."));
  clear();
  return {
    element,
    show(data, alternative) {
      const media = [...findMedia(data)].slice(0, 8);
      if (media.length === 0) return false;
      frame("full", ...media.map((medium) => createFigure(medium, alternative)));
      return true;
    },
    wait: () => frame("waiting", createElement("p", {}, "Waiting for the result…")),
    hide() {
      element.hidden = true;
    },
    clear,
  };
}

function createFigure({ url, type, caption }: Medium, alternative: string): HTMLElement {
  const medium =
    type === "image"
      ? createElement("img", { src: url, alt: alternative, decoding: "async" })
      : createElement(type, { src: url, controls: true, "aria-label": alternative });
  return createElement("figure", {}, medium, createElement("figcaption", {}, caption));
}

/** fal's files are objects with a url; some endpoints give bare URLs. */
function* findMedia(value: unknown, depth = 0): Generator<Medium> {
  if (depth > 6) return;
  if (typeof value === "string") {
    const medium = toMedium(value, undefined, "");
    if (medium !== undefined) yield medium;
  }
  if (typeof value !== "object" || value === null) return;
  if ("url" in value && typeof value.url === "string") {
    const medium = toMedium(value.url, contentTypeOf(value), sizeOf(value));
    if (medium !== undefined) yield medium;
    return;
  }
  for (const item of Object.values(value)) yield* findMedia(item, depth + 1);
}

function toMedium(url: string, contentType: string | undefined, size: string): Medium | undefined {
  const given = contentType ?? /^data:([a-z]+\/[a-z0-9.+-]+)/.exec(url)?.[1] ?? guessType(url);
  const type = given?.split("/")[0];
  if (type !== "image" && type !== "video" && type !== "audio") return undefined;
  if (!/^(?:https?:\/\/|data:(?:image|video|audio)\/|blob:)/.test(url)) return undefined;
  return { url, type, caption: [size, given].filter((part) => part !== "").join(" · ") };
}

function contentTypeOf(file: object): string | undefined {
  return "content_type" in file && typeof file.content_type === "string" ? file.content_type : undefined;
}

function sizeOf(file: object): string {
  if (!("width" in file) || !("height" in file) || typeof file.width !== "number" || typeof file.height !== "number")
    return "";
  return `${file.width} × ${file.height}`;
}

const types: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  webp: "image/webp",
  gif: "image/gif",
  mp4: "video/mp4",
  webm: "video/webm",
  mp3: "audio/mpeg",
  wav: "audio/wav",
};

function guessType(url: string): string | undefined {
  const ending = /^https?:\/\/[^?#]*\.([a-z0-9]+)(?:[?#]|$)/i.exec(url)?.[1];
  return ending === undefined ? undefined : types[ending.toLowerCase()];
}
