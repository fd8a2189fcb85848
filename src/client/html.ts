// Markup in which whatever is put between its parts is text: it is escaped, and without control characters.
import { escapeText } from "./print.ts";

/** Markup that is complete. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Value = string | number | Markup | readonly Markup[];

/** Markup from a template: a string or a number is text in it, or the value of an attribute in double quotes. */
export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Markup {
  return new Markup(parts.reduce((text, part, i) => `${text}${render(values[i - 1]!)}${part}`));
}

function render(value: Value): string {
  if (value instanceof Markup) return value.text;
  if (typeof value === "object") return value.map(({ text }) => text).join("");
  return escapeText(String(value)).replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`);
}
