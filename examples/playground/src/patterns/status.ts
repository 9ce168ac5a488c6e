import type { QueueStatus } from "@fal-ai/client";
import type { Stage } from "../pattern.ts";

/** Puts a queue status on the time line and its lines into the log. */
export function showStatus(update: QueueStatus, { timeline, logs }: Stage): void {
  if ("logs" in update && Array.isArray(update.logs)) logs.show(update.logs);
  switch (update.status) {
    case "IN_QUEUE":
      return timeline.reach("Queued", update.queue_position === 0 ? "next" : `${update.queue_position} ahead`);
    case "IN_PROGRESS":
      return timeline.reach("Running");
    case "COMPLETED":
      return;
  }
}
