/** An app that nobody has: what is asked about it cannot run anything. */
export const nobodysApp: string = "keyway-doctor/none";

/** A read of a job that does not exist. */
export const nobodysStatus: string = `https://queue.fal.run/${nobodysApp}/requests/00000000-0000-4000-8000-000000000000/status`;

/** Asks fal.ai for a place to put a file; no file follows. */
export const uploadStart: string = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3";
