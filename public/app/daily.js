// The daily clean-up: asks the browser for it, and shows what the last run did.

import { everySecond } from "./clock.js";
import { byId, setText } from "./dom.js";
import { capitalise, formatSince, formatUntil } from "./format.js";

const TAG = "daily-sync";
const DAY = 24 * 3_600_000;
/** Seconds between two looks at what the worker did meanwhile. */
const LOOK_EVERY = 5;

const ANSWERS = {
  registered: "Registered: the browser runs it about once a day, also while this page is closed.",
  denied: "Not granted: browsers run this for installed apps. It runs when the page is next open, a day after the last run.",
  unsupported: "This browser cannot. It runs when the page is next open, a day after the last run.",
};

export function setUpDaily(client) {
  const ask = byId("daily-ask");
  const answer = byId("daily-answer");
  let status = null;
  let seconds = 0;

  ask.addEventListener("click", async () => {
    try {
      const given = await client.registerPeriodic(TAG, DAY);
      answer.dataset.answer = given;
      setText(answer, ANSWERS[given]);
    } catch (error) {
      setText(answer, error.message);
    }
  });

  async function look() {
    const { periodic } = await client.metrics();
    status = periodic.find(({ tag }) => tag === TAG) ?? null;
    render();
  }

  function render() {
    if (!status) return;
    const { lastRunAt, nextRunAt, isRunning, tasks } = status;
    setText(byId("daily-last"), isRunning ? "running" : lastRunAt === undefined ? "not yet" : formatSince(lastRunAt));
    setText(byId("daily-next"), nextRunAt === undefined ? "–" : formatUntil(nextRunAt));
    byId("daily-tasks").replaceChildren(...tasks.filter(({ endedAt }) => endedAt !== undefined).map(taskLine));
  }

  // A look that fails is followed by another.
  const lookAgain = () => void look().catch(() => {});
  ask.disabled = false;
  client.on("sync-complete", lookAgain);
  everySecond(() => {
    seconds = (seconds + 1) % LOOK_EVERY;
    if (seconds === 0) lookAgain();
  });
  lookAgain();
}

function taskLine({ task, result, error }) {
  const line = document.createElement("li");
  line.textContent = `${capitalise(task)}: ${error ?? result ?? "done"}`;
  return line;
}
