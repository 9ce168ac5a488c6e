import { createKeyway } from "@keyway/core";

export const keyway = createKeyway({
  authorize: ({ headers }) => (headers.get("authorization") === "Bearer ada" ? { id: "ada" } : null),
  endpoints: ["demo/**"],
});
