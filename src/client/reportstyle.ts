// The style of the report: readable on a screen, light or dark, and on paper.

export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --faint: #5b6470; --line: #d5dae1; --paper: #fff; --panel: #f4f6f8;
  --good: #12703a; --bad: #b3261e; --open: #8a5a00; --mark: #2458b8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7eaee; --faint: #9aa4b1; --line: #38404a; --paper: #14171a; --panel: #1d2126;
    --good: #57c785; --bad: #ff8a80; --open: #f2b84b; --mark: #8ab4ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
.brand, .made, .note, .where, .none, footer { color: var(--faint); font-size: .875rem; }
.brand { margin: 0; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; }
h2 { margin: 2.5rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); font-size: 1.2rem; }
h3 { margin: 1.5rem 0 .25rem; font-size: 1rem; }
p { margin: .25rem 0; }
.verdict { margin: 0 0 .5rem; padding: .75rem 1rem; border-left: .375rem solid; background: var(--panel); }
.proven { border-color: var(--good); color: var(--good); }
.wrong { border-color: var(--bad); color: var(--bad); }
.undecided { border-color: var(--open); color: var(--open); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; }
th, td { padding: .375rem .75rem .375rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; min-width: 5rem; }
th { color: var(--faint); font-weight: 600; }
pre, code { font: .8125rem/1.5 ui-monospace, monospace; }
pre { padding: .75rem 1rem; background: var(--panel); white-space: pre-wrap; }
.problems li { margin-bottom: 1rem; }
.problems code { color: var(--bad); }
.meaning { font-style: italic; }
svg { display: block; width: 100%; height: auto; margin: .5rem 0; }
svg text { fill: var(--faint); font: 11px system-ui, sans-serif; }
svg .axis { stroke: var(--line); }
svg .tick { stroke: var(--mark); stroke-opacity: .6; }
footer { margin-top: 2.5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
@media print {
  :root { --ink: #000; --faint: #444; --line: #bbb; --paper: #fff; --panel: #fff; --good: #12703a; --bad: #b3261e;
    --open: #8a5a00; --mark: #2458b8; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3 { break-after: avoid; }
  tr, .problems li, svg { break-inside: avoid; }
  .wide { overflow: visible; }
}
`;
