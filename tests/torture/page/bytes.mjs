/** The bytes of a body, the same in the page that sends it and in the check of what arrived. */
export function bytes({ seed, size }) {
  const made = new Uint8Array(size);
  for (let at = 0, state = seed; at < size; at += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    made[at] = state >>> 16;
  }
  return made;
}
