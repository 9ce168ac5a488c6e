import { attachToServers } from "@keyway/nextjs";
import { keyway } from "@/lib/keyway";

// Route handlers get no upgrades: WebSockets are taken from the server itself.
attachToServers(keyway);
