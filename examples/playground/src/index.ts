export { mountPlayground, type PlaygroundOptions } from "./playground.ts";
