import { createRequestHandler } from "@keyway/sveltekit";
import { keyway } from "#lib/server/keyway.ts";

export const { GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS } = createRequestHandler(keyway);
