import { mountPlayground } from "@keyway-examples/playground";
import "@keyway-examples/playground/style.css";

const element = document.querySelector<HTMLElement>("#playground");
if (element !== null) mountPlayground(element, { proxyUrl: "/api/fal/proxy" });
