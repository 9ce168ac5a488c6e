import { createRouteHandler } from "@keyway/nextjs";
import { keyway } from "@/lib/keyway";

export const { GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS } = createRouteHandler(keyway);
