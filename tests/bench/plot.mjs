// The medians as bars beside Shearwater's, in SVG: legible on light and on dark.

import { show } from "./stats.mjs";

const WIDTH = 860;
const LEFT = 330;
const RIGHT = 84;
const BAR = 13;
const GAP = 16;
const TOP = 64;

const text = (x, y, words, more = "") =>
  `<text x="${x}" y="${y}" ${more}>${words.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;
const kind = (who) => (who.startsWith("Shearwater") ? "s" : who.startsWith("Workbox") ? "w" : "p");

/** Times relative to Shearwater's, on a logarithmic scale: shorter is faster. */
export function plot(measures) {
  const shown = measures
    .map((measure) => ({ ...measure, own: measure.of?.("Shearwater") ?? Number.NaN, of: (who) => measure.of(who) }))
    .filter(({ own, peers }) => Number.isFinite(own) && peers.some(({ who }) => who !== "Shearwater"));
  const bars = shown.flatMap(({ own, peers, of }) =>
    peers.filter(({ samples }) => samples.length).map(({ who }) => of(who) / own),
  );
  const [least, most] = [Math.min(0.5, ...bars), Math.max(2, ...bars)].map(Math.log10);
  const x = (ratio) => LEFT + ((Math.log10(ratio) - least) / (most - least)) * (WIDTH - LEFT - RIGHT);
  const parts = [];
  let y = TOP;
  for (const { row, title, own, peers, of } of shown) {
    const present = peers.filter(({ samples }) => samples.length > 0);
    parts.push(text(14, y + BAR - 2, `${row}  ${title}`, 'class="title"'));
    y += 5;
    for (const { who } of present) {
      y += BAR + 2;
      const ratio = of(who) / own;
      const end = x(ratio);
      parts.push(text(LEFT - 10, y + BAR - 3, who, 'text-anchor="end"'));
      parts.push(
        `<rect class="${kind(who)}" x="${LEFT}" y="${y}" width="${Math.max(1.5, end - LEFT).toFixed(1)}" height="${BAR}" rx="2"/>`,
      );
      parts.push(text((Math.max(LEFT, end) + 6).toFixed(1), y + BAR - 3, `${show(ratio)}×`));
    }
    y += BAR + GAP;
  }
  const grid = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]
    .filter((ratio) => Math.log10(ratio) >= least && Math.log10(ratio) <= most)
    .map(
      (ratio) =>
        `<line x1="${x(ratio).toFixed(1)}" x2="${x(ratio).toFixed(1)}" y1="${TOP - 8}" y2="${y - 4}" class="${ratio === 1 ? "one" : "grid"}"/>${text(x(ratio).toFixed(1), TOP - 14, `${ratio}×`, 'text-anchor="middle" class="small"')}`,
    );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 8}" role="img" aria-label="Median times beside Shearwater's">
<style>
  svg { --ground: #fff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --s: #0969da; --w: #bc4c00; --p: #818b98; }
  @media (prefers-color-scheme: dark) { svg { --ground: #0d1117; --ink: #f0f6fc; --soft: #9198a1; --line: #3d444d; --s: #4493f8; --w: #f0883e; --p: #7d8590; } }
  text { font: 12px system-ui, sans-serif; fill: var(--ink); } .title { font-weight: 600; } .small { fill: var(--soft); font-size: 11px; }
  .s { fill: var(--s); } .w { fill: var(--w); } .p { fill: var(--p); } .grid { stroke: var(--line); } .one { stroke: var(--soft); stroke-dasharray: 3 3; }
</style>
<rect width="100%" height="100%" rx="6" fill="var(--ground)"/>
${text(14, 24, "Median time beside Shearwater's (1×), logarithmic: shorter is faster", 'class="title"')}
${grid.join("\n")}
${parts.join("\n")}
</svg>
`;
}
