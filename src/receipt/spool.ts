// Where the records lie that could not be taken to their ledger: as promises, in the object store, until the
// ledger has entered them. A path follows from what the object holds, and paths sort in the order in which a
// ledger takes them: by exchange, and within one by time and stage.
import { formatStep, parseRecord } from "./record.ts";

/** The folders of the object store for records that wait, and for those that a ledger would not take. */
export const SPOOL_FOLDER = "spool";
export const REFUSED_FOLDER = "refused";

/** The order of stages of one exchange that were recorded in the same millisecond. */
const STAGE_ORDER = ["received", "started", "interim"];

/** The folder in which the records of one ledger wait, or those of one exchange if its id is given. */
export function formatSpoolPrefix(ledger: string, jti?: string): string {
  return jti === undefined ? `${SPOOL_FOLDER}/${ledger}/` : `${SPOOL_FOLDER}/${ledger}/${jti}.`;
}

/** @param record the JSON text of the record. */
export function formatSpoolPath(ledger: string, record: string): string {
  const parsed = parseRecord(record);
  const { jti, stage, time } = parsed;
  const order = STAGE_ORDER.indexOf(stage);
  const ms = String(Date.parse(time)).padStart(14, "0");
  const step = formatStep(parsed).replace("/", "-");
  return `${formatSpoolPrefix(ledger, jti)}${ms}.${order === -1 ? STAGE_ORDER.length : order}.${step}`;
}
