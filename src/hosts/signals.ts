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

/** Waits, unless a signal tells this process to end. @returns false when one did. */
export function pause(ms: number): Promise<boolean> {
  return new Promise(resolve => {
    const end = (isOver: boolean) => {
      clearTimeout(timer);
      for (const signal of SIGNALS) process.removeListener(signal, interrupt);
      resolve(isOver);
    };
    const interrupt = () => end(false);
    const timer = setTimeout(end, ms, true);
    for (const signal of SIGNALS) process.on(signal, interrupt);
  });
}
