import type { FalClient } from "@fal-ai/client";
import { type BudgetCard, createBudgetCard } from "../budget-card.ts";
import { createElement } from "../element.ts";
import { createChoice } from "../fields.ts";
import type { Pattern, PatternContext, Stage } from "../pattern.ts";
import { toSource } from "../source.ts";
import type { UsageReader } from "../usage.ts";

/** Two users of the example, on different plans. */
const users = { ada: "ada: what everybody may spend", bob: "bob: a small plan" } as const;
type User = keyof typeof users;

/** More than bob's budget pays for, and less than ada's. */
const many = 6;

export function createBudgets({ fal, endpoints, client, usage, signInAs }: PatternContext): Pattern {
  const caller = createChoice<User>({ label: "Who calls", choices: users, value: "ada" });
  const budgets = createBudgetCards(usage);
  const input = { prompt: "a piggy bank on a shelf" };
  const spend = async (stage: Stage, steps: readonly string[], call: () => Promise<unknown>): Promise<void> => {
    await signInAs(caller.value);
    stage.timeline.begin(...steps);
    const seen = budgets.watch();
    try {
      stage.show(await call());
      stage.timeline.end("done");
    } finally {
      await seen();
    }
  };
  return {
    id: "budgets",
    title: "Budgets",
    summary:
      "What a call may cost is set aside before it goes, and settled when fal.ai says what it did cost. When the budget is spent, calls are refused before they reach fal.ai, until the day is over.",
    fields: [caller.element, budgets.element],
    code: () => `import { ApiError, fal } from "@fal-ai/client";
${client.slice(client.indexOf("\n") + 1)}
// The session is that of ${caller.value}.
try {
  await fal.run(${toSource(endpoints.priced)}, {
    input: ${toSource(input, "    ")},
  });
} catch (error) {
  if (error instanceof ApiError && error.status === 402) {
    console.log("The budget is spent.");
  }
}

// On the server: keyway.usage(caller)
const usage = await (await fetch("/api/usage")).json();
console.log(usage.spent, usage.reserved, usage.left);`,
    actions: [
      {
        label: "Make a picture",
        run: (stage) =>
          spend(stage, ["Sent", "Answered"], async () => {
            const { data } = await fal.run(endpoints.priced, { input, abortSignal: stage.signal });
            return data;
          }),
      },
      {
        label: `Make ${many} at once`,
        run: (stage) => spend(stage, ["Sent", "Answered"], () => makeMany(fal, endpoints.priced, stage)),
      },
    ],
  };
}

/** Every call sets its money aside first, so calls at once cannot spend more than there is. */
async function makeMany(fal: FalClient, endpoint: string, { say, signal }: Stage): Promise<unknown> {
  const calls = Array.from({ length: many }, async (_, index) => {
    const input = { prompt: `coin ${index + 1} of ${many}` };
    return (await fal.run(endpoint, { input, abortSignal: signal })).data;
  });
  const ended = await Promise.allSettled(calls);
  const refused = ended.filter((one) => one.status === "rejected");
  say(`${many - refused.length} were answered, ${refused.length} refused.`);
  if (refused[0] !== undefined) throw refused[0].reason;
  return ended.map((one) => (one.status === "fulfilled" ? one.value : undefined)).at(-1);
}

interface BudgetCards {
  readonly element: HTMLElement;
  /** Reads the budgets again and again, until the function that it answers is called. */
  watch(): () => Promise<void>;
}

function createBudgetCards(usage: UsageReader): BudgetCards {
  const cards = new Map<User, BudgetCard>([
    ["ada", createBudgetCard("ada")],
    ["bob", createBudgetCard("bob")],
  ]);
  const element = createElement(
    "section",
    { class: "budgets", "aria-label": "Budgets" },
    ...[...cards.values()].map((card) => card.element),
  );
  const refresh = async (): Promise<void> => {
    const reads = [...cards].map(async ([user, card]) => card.show(await usage.read(user)));
    await Promise.allSettled(reads);
  };
  // Nothing is asked for before the panel is looked at.
  const sight = new IntersectionObserver(([entry]) => entry?.isIntersecting === true && void refresh());
  sight.observe(element);
  return {
    element,
    watch() {
      const timer = window.setInterval(() => void refresh(), 300);
      return async () => {
        window.clearInterval(timer);
        await refresh();
      };
    },
  };
}
