// Privacy: what a route makes private is taken out of a record before it is formatted, and committed to instead.
import type { PrivateChoice } from "../receipt/disclosure.ts";
import type { Attempt, AuditRecord, SocketRecord } from "../receipt/record.ts";
import type { FieldValue } from "./fields.ts";
import type { Policy, Route } from "./policy.ts";

/** What is private in the records of one exchange, besides what always is. */
export interface Privacy {
  readonly members: readonly PrivateChoice[];
  /** The names of the route's private extra fields. */
  readonly fields: readonly string[];
}

/**
 * What is private by a route. A request that no route takes could have been meant for any of them: what is private for
 * one is private then.
 */
export function privacyOf(route: Route | undefined, { routes }: Policy): Privacy {
  if (route === undefined) return { members: [...new Set(routes.flatMap(each => each.private))], fields: [] };
  const fields = Object.keys(route.fields).filter(name => route.fields[name]!.private);
  return { members: route.private, fields };
}

/**
 * A record without what is private; the extra fields that it tells besides, in the clear; and what is private, with null
 * for what is not there.
 */
export function hidePrivate(
  record: AuditRecord,
  picked: Readonly<Record<string, FieldValue>>,
  { members, fields }: Privacy,
): { shown: AuditRecord; fields: Record<string, FieldValue>; hidden: Record<string, unknown> } {
  const groups: Record<string, Record<string, unknown>> = { req: { ...record.req }, res: { ...record.res } };
  const hidden: Record<string, unknown> = {};
  for (const member of members) {
    const [group, name] = member.split(".") as [string, string];
    hidden[member] = groups[group]![name] ?? null;
    delete groups[group]![name];
  }
  for (const name of fields) hidden[`fields.${name}`] = picked[name] ?? null;
  // What says the same of a part of the body, or of the messages that are there instead of one, is as private.
  if (members.includes("res.digest")) delete groups.res!.digest_so_far;
  const clear = Object.entries(picked).filter(([name]) => !fields.includes(name));
  const shown = {
    ...record,
    ...(record.req && { req: groups.req }),
    ...(record.res && { res: groups.res }),
    ...(record.ws && { ws: hideMessages(record.ws, members) }),
    ...(record.attempts && { attempts: hideAttempts(record.attempts, members) }),
    ...(members.length > 0 && { private: [...members] }),
  } as AuditRecord;
  return { shown, fields: Object.fromEntries(clear), hidden };
}

function hideMessages(ws: SocketRecord, members: Privacy["members"]): SocketRecord {
  const [up, down] = [{ ...ws.up }, { ...ws.down }];
  for (const name of ["size", "digest"] as const) {
    if (members.includes(`req.${name}`)) delete up[name];
    if (members.includes(`res.${name}`)) delete down[name];
  }
  return { ...ws, up, down };
}

function hideAttempts(attempts: readonly Attempt[], members: Privacy["members"]): Attempt[] {
  if (!members.includes("res.status")) return [...attempts];
  return attempts.map(({ status: _, ...attempt }) => attempt);
}
