// The load generator of the benches with proxies, as a process of its own: so many connections, each with one exchange
// after another, and nothing else. Every answer's status and body is compared with what the upstream sends.
import { Pool } from "undici";
import { ANSWER, makeExchange, type Outcome, type Sample, type Turn } from "./exchanges.ts";

const HEADERS = {
  "content-type": "application/json",
  "user-agent": "bench/1",
  "cf-connecting-ip": "203.0.113.7",
  accept: "application/json",
};

/** One answer in so many is a sample. */
const SAMPLE_EVERY = 50;

let n = 0;

process.on("message", async (turn: Turn) => process.send!(await generate(turn)));
process.on("disconnect", () => process.exit());

async function generate({ url, connections, ms }: Turn): Promise<Outcome> {
  const pool = new Pool(url, { connections, pipelining: 1 });
  const took: number[] = [];
  const failures: Record<string, number> = {};
  const samples: Sample[] = [];
  const start = performance.now();
  const exchange = async () => {
    const number = n++;
    const begun = performance.now();
    const { statusCode, headers, body } = await pool.request({ ...makeExchange(number), headers: HEADERS });
    const answer = Buffer.from(await body.arrayBuffer());
    took.push(performance.now() - begun);
    if (statusCode !== 200) throw new Error(`status ${statusCode}: ${answer}`);
    if (!answer.equals(ANSWER)) throw new Error("the body is not what the upstream sent");
    if (took.length % SAMPLE_EVERY !== 0) return;
    samples.push({
      n: number,
      receipt: text(headers["audit-receipt"]),
      seed: text(headers["audit-receipt-seed"]),
    });
  };
  const connection = async () => {
    while (performance.now() - start < ms) {
      await exchange().catch(({ message }: Error) => {
        failures[message] = (failures[message] ?? 0) + 1;
      });
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
  const seconds = (performance.now() - start) / 1000;
  await pool.close();
  took.sort((a, b) => a - b);
  const percentile = (share: number) => took[Math.floor(took.length * share)] ?? Number.NaN;
  return {
    exchanges: took.length,
    seconds,
    p50: percentile(0.5),
    p90: percentile(0.9),
    p99: percentile(0.99),
    failures,
    samples,
  };
}

function text(field: string | string[] | undefined): string | undefined {
  return typeof field === "string" ? field : undefined;
}
