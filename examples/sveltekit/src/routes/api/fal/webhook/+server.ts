import { createWebhookHandler } from "@keyway/sveltekit";
import { keyway } from "#lib/server/keyway.ts";

export const { POST } = createWebhookHandler(keyway);
