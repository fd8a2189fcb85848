// The alarm port: the one moment at which a writer is to be called again. Setting it survives a crash, or the writer
// is called at its next start. One that is called and throws is called again.
export interface Alarm {
  /** When it is due, in ms of Unix time; null while none is set. */
  get(): Promise<number | null>;
  /** Sets it, in the place of one that is set. */
  set(atMs: number): Promise<void>;
  clear(): Promise<void>;
}
