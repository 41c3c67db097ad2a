// Seeded chance: the same seed gives the same plans.

import { createHash } from "node:crypto";

/** A source of random numbers (mulberry32) with the draws that plans need. */
export function dice(seed) {
  let state = createHash("sha256").update(String(seed)).digest().readInt32LE(0);
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  /** A whole number, both ends included. */
  const from = (least, most) => least + Math.floor(next() * (most - least + 1));
  return {
    from,
    chance: (probability) => next() < probability,
    pick: (list) => list[from(0, list.length - 1)],
  };
}
