export { type GatewayConfig, defineConfig } from "./config.ts";
