import { keyway } from "./keyway.ts";

export default { fetch: (request: Request): Promise<Response> => keyway.fetch(request) };
