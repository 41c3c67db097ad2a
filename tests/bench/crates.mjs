// What each crate costs: the sizes of the functions in a wasm module that still has their names.

import { readFileSync } from "node:fs";

/** Bytes of code by crate, largest first; what is generic counts for the crate that it is written in. */
export function crates(path) {
  const bytes = readFileSync(path);
  let at = 8;
  const number = () => {
    let [value, shift, byte] = [0, 0, 0];
    do {
      byte = bytes[at++];
      value += (byte & 127) * 2 ** shift;
      shift += 7;
    } while (byte & 128);
    return value;
  };
  const text = () => {
    const length = number();
    at += length;
    return bytes.toString("utf8", at - length, at);
  };
  const limits = () => {
    const flags = number();
    number();
    if (flags & 1) number();
  };
  let imported = 0;
  const sizes = [];
  const names = new Map();
  while (at < bytes.length) {
    const id = bytes[at++];
    const end = number() + at;
    if (id === 2) {
      for (let left = number(); left > 0; left -= 1) {
        text();
        text();
        const kind = bytes[at++];
        if (kind === 0) imported += number() >= 0 ? 1 : 0;
        else if (kind === 1) {
          at += 1;
          limits();
        } else if (kind === 2) limits();
        else at += 2;
      }
    } else if (id === 10) {
      for (let left = number(); left > 0; left -= 1) {
        sizes.push(number());
        at += sizes.at(-1);
      }
    } else if (id === 0 && text() === "name") {
      while (at < end) {
        const functions = bytes[at++] === 1;
        const over = number() + at;
        if (functions) for (let left = number(); left > 0; left -= 1) names.set(number(), text());
        at = over;
      }
    }
    at = end;
  }
  const found = new Map();
  for (const [index, size] of sizes.entries()) {
    const name = names.get(index + imported) ?? "";
    const crate = /^[<&(]*(?:dyn )?(\w+)(?:\[\w+\])?::/.exec(name)?.[1] ?? "glue and intrinsics";
    found.set(crate, (found.get(crate) ?? 0) + size);
  }
  return [...found].sort((a, b) => b[1] - a[1]);
}
