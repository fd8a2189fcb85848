// What follows from something that does not change while the edge runs, such as a policy or one of its routes.

/** Works something out when it is first asked for, and keeps it for as long as the object that it follows from. */
export function once<Source extends WeakKey, Value extends {}>(
  work: (source: Source) => Value,
): (source: Source) => Value {
  const known = new WeakMap<Source, Value>();
  return source => {
    let value = known.get(source);
    if (value === undefined) {
      value = work(source);
      known.set(source, value);
    }
    return value;
  };
}
