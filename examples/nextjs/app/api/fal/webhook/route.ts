import { createWebhookRoute } from "@keyway/nextjs";
import { keyway } from "@/lib/keyway";

export const { POST } = createWebhookRoute(keyway);
