/** An app that nobody has: what is asked about it cannot run anything. */
export const nobodysApp: string = "keyway-doctor/none";

/** A read of a job that does not exist. */
export const nobodysStatus: string = `https://queue.fal.run/${nobodysApp}/requests/00000000-0000-4000-8000-000000000000/status`;

/**
 * A parameter that no call takes, because its name begins with `fal_`. Keyway refuses it after it has asked who calls, whatever an app lets
 * pass, so what carries it never goes to fal.ai.
 */
export const refusedQuery = "?fal_keyway_doctor=1";

/** Asks fal.ai for a place to put a file; no file follows. */
export const uploadStart: { readonly url: string; readonly body: string } = {
  url: "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3",
  body: JSON.stringify({ content_type: "text/plain", file_name: "keyway-doctor.txt" }),
};
