import { expect, it } from "vitest";
import * as node from "./index.ts";
import * as web from "./web.ts";

// One file of types serves both; what only Node can do throws on the edge and says so.
it("bundles for the edge get every name that the types promise", () => {
  expect(Object.keys(web).toSorted()).toEqual(Object.keys(node).toSorted());
});
