// What is made of samples: medians, spreads, ratios, and whether an aim is met.

export const median = (samples) => {
  const sorted = [...samples].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
};

/** Three significant digits. */
export const show = (number) => {
  if (!Number.isFinite(number)) return "–";
  if (number === 0) return "0";
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(number))));
  return number.toFixed(Math.min(digits, 4)).replace(/\B(?=(\d{3})+(?!\d)(?<!\.\d*))/g, ",");
};

export const range = (samples) => (samples.length > 1 ? `${show(Math.min(...samples))}–${show(Math.max(...samples))}` : "");

/** A measure of some peers, with ratios between their medians. */
export class Measure {
  constructor(row, title, unit, peers) {
    Object.assign(this, { row, title, unit, peers, ratios: [] });
  }

  of(who) {
    const peer = this.peers.find((peer) => peer.who === who);
    return peer?.samples.length ? median(peer.samples) : undefined;
  }

  /** How many times faster `fast` is than `slow`. */
  faster(fast, slow, atLeast) {
    return this.ratio(`${slow} ÷ ${fast}`, this.of(slow) / this.of(fast), { atLeast });
  }

  /** How many times the time of `floor` `who` takes. */
  within(who, floor, atMost) {
    return this.ratio(`${who} ÷ ${floor}`, this.of(who) / this.of(floor), { atMost });
  }

  ratio(what, value, { atLeast, atMost, unit = "×" } = {}) {
    const bound = atLeast ?? atMost;
    const met = bound === undefined ? undefined : atLeast === undefined ? value <= atMost : value >= atLeast;
    const aim = bound === undefined ? "" : `${atLeast === undefined ? "≤" : "≥"} ${show(bound)}${unit}`;
    if (!Number.isNaN(value)) this.ratios.push({ what, value, unit, aim, met });
    return this;
  }
}
