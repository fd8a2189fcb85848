// The signals that end a process in good order.

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Resolves with the first signal that tells this process to end. The second one is the system's: it ends at once. */
export function untilToldToEnd(): Promise<void> {
  return new Promise(resolve => {
    const onSignal = () => {
      for (const signal of SIGNALS) process.removeListener(signal, onSignal);
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
  });
}
