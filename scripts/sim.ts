// Runs simulations, seed after seed:
//
//     npm run sim -- --seeds N --from S [--steps K]
//
// It reports after every hundred seeds and at the end, and exits with 1 if any seed has failed. The run of ten
// million steps that is due after a change of durable/ is `--seeds 1000 --from S --steps 10000`, with an S that was
// not used before. A seed that fails is printed with what happened last, and fails again in the same way with
// `--seeds 1 --from <seed>` and the same steps.
import { parseArgs } from "node:util";
import { simulate } from "../test/sim/simulation.ts";
import { buildSystem, SMALL_LIMITS } from "../test/sim/system.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "10" },
    from: { type: "string", default: "1" },
    steps: { type: "string", default: "10000" },
  },
});
const [seeds, from, steps] = [values.seeds, values.from, values.steps].map(readCount) as [
  number,
  number,
  number,
];

const systems = [await buildSystem(), await buildSystem(SMALL_LIMITS)];
const totals: Record<string, number> = {};
let [taken, failed] = [0, 0];
const began = performance.now();
for (let seed = from; seed < from + seeds; seed++) {
  const outcome = await simulate(systems[seed % systems.length]!, seed, steps);
  taken += outcome.steps;
  for (const [name, count] of Object.entries(outcome.stats)) totals[name] = (totals[name] ?? 0) + count;
  if (outcome.failure !== undefined) {
    failed++;
    const { step, message, events } = outcome.failure;
    console.log(
      `\nseed ${seed} fails at step ${step}: ${message}\n${events.map(event => `  ${event}`).join("\n")}`,
    );
    console.log(`again: npm run sim -- --seeds 1 --from ${seed} --steps ${steps}\n`);
  }
  if ((seed - from + 1) % 100 === 0 || seed === from + seeds - 1) report(seed);
}
process.exitCode = failed === 0 ? 0 : 1;

function report(seed: number): void {
  const rate = Math.round((taken / (performance.now() - began)) * 1000);
  console.log(`seeds ${from} to ${seed}: ${taken} steps, ${rate} a second, ${failed} seeds failed`);
  console.log(
    `  ${Object.entries(totals)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")}`,
  );
}

function readCount(text: string): number {
  const count = Number(text);
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new Error(`expected a number, found "${text}"`);
}
