// A line of time on which each anchor is a stroke: where strokes are missing, nothing was anchored.
import { html, type Markup } from "./html.ts";
import type { TimelinePoint } from "./timeline.ts";

const [WIDTH, HEIGHT, LEFT] = [900, 64, 8] as const;

/** @param points at least one. */
export function drawTimeline(points: readonly TimelinePoint[]): Markup {
  const [first, last] = [points[0]!, points.at(-1)!];
  const begin = Date.parse(first.time);
  const span = Math.max(1, Date.parse(last.time) - begin);
  const x = ({ time }: TimelinePoint) => LEFT + ((Date.parse(time) - begin) / span) * (WIDTH - 2 * LEFT);
  // Strokes that would fall together are drawn once.
  const places = [...new Set(points.map(point => x(point).toFixed(1)))];
  const strokes = places.map(at => html`<path class="tick" d="M${at} 10V34"/>`);
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Anchors from ${first.time} to ${last.time}">
<path class="axis" d="M${LEFT} 34H${WIDTH - LEFT}"/>${strokes}
<text x="${LEFT}" y="52">epoch ${first.epoch}, ${first.time}</text>
<text x="${WIDTH - LEFT}" y="52" text-anchor="end">epoch ${last.epoch}, ${last.time}</text>
</svg>`;
}
