// The tests that take longer than `npm test` may: `npm run test:long`, which CI runs as well.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { include: ["test/long/*.long.ts"], testTimeout: 1_800_000, hookTimeout: 600_000, maxWorkers: 2 },
});
