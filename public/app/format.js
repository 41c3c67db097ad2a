// Numbers and times for people.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

export function formatBytes(bytes) {
  if (bytes < 1_000) return `${bytes} B`;
  const units = ["kB", "MB", "GB"];
  let value = bytes;
  let unit = -1;
  do {
    value /= 1_000;
    unit += 1;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value >= 9.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** The time of day, with the day unless it is today. */
export function formatTime(instant) {
  const date = new Date(instant);
  const today = date.toDateString() === new Date().toDateString();
  return (today ? timeOfDay : dayAndTime).format(date);
}

function formatSpan(milliseconds) {
  if (milliseconds < MINUTE) return `${Math.ceil(milliseconds / SECOND)} s`;
  if (milliseconds < HOUR) {
    const seconds = Math.ceil(milliseconds / SECOND);
    const rest = seconds % 60;
    return rest === 0 || seconds >= 600 ? `${Math.round(seconds / 60)} min` : `${Math.floor(seconds / 60)} min ${rest} s`;
  }
  if (milliseconds < DAY) return `${Math.round(milliseconds / HOUR)} h`;
  return `${Math.round(milliseconds / DAY)} days`;
}

/** "in 12 s", or "now" for what is due. */
export function formatUntil(instant, now = Date.now()) {
  return instant <= now ? "now" : `in ${formatSpan(instant - now)}`;
}

/** "just now", "3 min ago", and the time itself after an hour. */
export function formatSince(instant, now = Date.now()) {
  const age = now - instant;
  if (age < 5 * SECOND) return "just now";
  if (age < MINUTE) return `${Math.floor(age / SECOND)} s ago`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)} min ago`;
  return formatTime(instant);
}

export function formatCount(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

/** Beginning and end of a long hash. */
export function shortHash(hex) {
  return hex.length <= 16 ? hex : `${hex.slice(0, 8)}…${hex.slice(-6)}`;
}

export const capitalise = (sentence) => sentence.slice(0, 1).toUpperCase() + sentence.slice(1);
