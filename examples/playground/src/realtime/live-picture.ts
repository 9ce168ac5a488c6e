import { createElement } from "../element.ts";

/** One picture whose content changes in place, without a flicker between two. */
export interface LivePicture {
  readonly element: HTMLElement;
  /** The first picture of an answer; false when it has none. */
  show(result: unknown): boolean;
  clear(): void;
}

export function createLivePicture(): LivePicture {
  const image = createElement("img", { alt: "", decoding: "async" });
  const caption = createElement("figcaption");
  const element = createElement("figure", { class: "live-picture", hidden: true }, image, caption);
  let blobUrl: string | undefined;

  const release = (): void => {
    if (blobUrl !== undefined) URL.revokeObjectURL(blobUrl);
    blobUrl = undefined;
  };
  return {
    element,
    show(result) {
      const picture = firstPicture(result);
      if (picture === undefined) return false;
      release();
      if (typeof picture.source !== "string") blobUrl = URL.createObjectURL(picture.source);
      image.src = typeof picture.source === "string" ? picture.source : (blobUrl ?? "");
      image.alt = "Newest result";
      caption.textContent = picture.caption;
      element.hidden = false;
      return true;
    },
    clear() {
      release();
      element.hidden = true;
    },
  };
}

interface Picture {
  readonly source: string | Blob;
  readonly caption: string;
}

/** Real-time models answer `images` with a data URL each, or with the bytes themselves as `content`. */
function firstPicture(result: unknown): Picture | undefined {
  const { images }: { images?: unknown } = typeof result === "object" && result !== null ? result : {};
  const first: unknown = Array.isArray(images) ? images[0] : undefined;
  if (typeof first !== "object" || first === null) return undefined;
  const { url, content, content_type: type, width, height }: Record<string, unknown> = { ...first };
  const caption = typeof width === "number" && typeof height === "number" ? `${width} × ${height}` : "";
  if (typeof url === "string" && /^(?:https:\/\/|data:image\/)/.test(url)) return { source: url, caption };
  if (!(content instanceof Uint8Array)) return undefined;
  return {
    source: new Blob([new Uint8Array(content)], { type: typeof type === "string" ? type : "image/jpeg" }),
    caption,
  };
}
