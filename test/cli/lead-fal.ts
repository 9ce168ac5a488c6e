// Loaded before the command: leads fal's hosts to a port of this machine.
import { redirectFalHosts } from "../security/fal-hosts.ts";

const [port = "", authority = ""] = (process.env["TEST_FAL"] ?? "").split(" ");
const hosts = redirectFalHosts(Buffer.from(authority, "base64").toString());
hosts.lead("rest.fal.ai", Number(port));
