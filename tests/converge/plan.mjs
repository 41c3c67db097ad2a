// What a client does next: a seed gives each client the same dice, though not the same moments.

import { dice } from "../torture/dice.mjs";
import { CUTS } from "./line.mjs";

export const REGISTERS = ["a", "b", "c"];

/** The names of the records that all clients edit from the beginning. */
export const shared = (count) => Array.from({ length: count }, (_, at) => nameOf(0, at + 1));

/** A name, which is the record's first id: the server takes UUIDs as they are. */
const nameOf = (client, number) => `${String(client).padStart(8, "0")}-0000-4000-8000-${String(number).padStart(12, "0")}`;

/** One side of all dice: what comes up how often. */
const FACES = [
  ["write", 30],
  ["add", 10],
  ["create", 5],
  ["delete", 2],
  ["edit", 2],
  ["get", 24],
  ["all", 6],
  ["sync", 12],
  ["cut", 3],
  ["stop", 1],
  ["kill", 1],
].flatMap(([face, times]) => Array(Number(times)).fill(face));

/** The plan of the client with this number, from 1; `records` are those that are shared. */
export function planOf(seed, number, records) {
  const roll = dice(`${seed} converge ${number}`);
  let count = 0;
  const value = (register) => {
    count += 1;
    return `${register}${number}.${count}`;
  };
  const fresh = () => {
    count += 1;
    return nameOf(number, count);
  };
  const data = () => {
    const registers = roll.chance(0.2) ? [roll.pick(REGISTERS), roll.pick(REGISTERS)] : [roll.pick(REGISTERS)];
    return Object.fromEntries(registers.map((register) => [register, value(register)]));
  };
  return {
    roll,
    latency: roll.from(0, 25),
    /** A record with all its registers. */
    create: (name = fresh()) => ({
      what: "create",
      name,
      data: Object.fromEntries(REGISTERS.map((register) => [register, value(register)])),
    }),
    /** The next step; `seen` are names of records that came up besides the shared ones. */
    next(seen) {
      const name = roll.pick(records);
      const other = seen.length > 0 ? roll.pick(seen) : name;
      const face = roll.pick(FACES);
      if (face === "write") return { what: "write", name, data: data(), byFunction: roll.chance(0.5) };
      if (face === "add") return { what: "add", name, element: value("t") };
      if (face === "create") return this.create();
      if (face === "delete") return other === name ? { what: "get", name } : { what: "delete", name: other };
      if (face === "edit") return { what: "write", name: other, data: data(), byFunction: false };
      if (face === "get") return { what: "get", name: roll.chance(0.8) ? name : other };
      if (face === "cut") return { what: "cut", how: roll.pick(CUTS), steps: roll.from(3, 25) };
      if (face === "stop" || face === "kill") return { what: face, after: roll.from(0, 60) };
      return { what: face };
    },
  };
}
