import type { Page } from "playwright-core";

/** A WebSocket of a page, as the browser saw it. */
export interface SeenSocket {
  readonly url: string;
  /** Handshake and frames both ways, one text each; binary frames with a character for every byte. */
  readonly texts: readonly string[];
  readonly sent: number;
  readonly received: number;
}

interface Watched extends SeenSocket {
  readonly texts: string[];
  sent: number;
  received: number;
  readonly over: Promise<void>;
  readonly end: () => void;
}

/**
 * Watches every WebSocket that the page opens from now on, headers of handshakes included. The returned function waits until they are
 * closed, because the browser tells of frames a little late.
 */
export async function watchSockets(
  page: Page,
): Promise<(which?: (socket: SeenSocket) => boolean) => Promise<readonly SeenSocket[]>> {
  const seen = new Map<string, Watched>();
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  const note = (id: string, text: string): void => void seen.get(id)?.texts.push(text);
  session.on("Network.webSocketCreated", ({ requestId, url }) => {
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    seen.set(requestId, { url, texts: [url], sent: 0, received: 0, over, end });
  });
  session.on("Network.webSocketWillSendHandshakeRequest", ({ requestId, request }) =>
    note(requestId, JSON.stringify(request)),
  );
  session.on("Network.webSocketHandshakeResponseReceived", ({ requestId, response }) =>
    note(requestId, JSON.stringify(response)),
  );
  session.on("Network.webSocketFrameSent", ({ requestId, response }) => {
    const socket = seen.get(requestId);
    if (socket !== undefined) socket.sent += 1;
    note(requestId, toText(response));
  });
  session.on("Network.webSocketFrameReceived", ({ requestId, response }) => {
    const socket = seen.get(requestId);
    if (socket !== undefined) socket.received += 1;
    note(requestId, toText(response));
  });
  session.on("Network.webSocketFrameError", ({ requestId, errorMessage }) => note(requestId, errorMessage));
  session.on("Network.webSocketClosed", ({ requestId }) => seen.get(requestId)?.end());
  return async (which = () => true) => {
    const sockets = [...seen.values()].filter((socket) => which(socket));
    await Promise.all(sockets.map(({ over }) => over));
    return sockets;
  };
}

function toText({ opcode, payloadData }: { readonly opcode: number; readonly payloadData: string }): string {
  return opcode === 1 ? payloadData : Buffer.from(payloadData, "base64").toString("latin1");
}
