// The processes of a browser that is started here and not by puppeteer.

/** Of a child that leads a process group: `{gone, kill}`. It ends with this process at the latest. */
export function processGroup(child) {
  const gone = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  const killGroup = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing is left of it.
    }
  };
  process.once("exit", killGroup);
  return {
    /** Resolves when the leader has ended, with how. */
    gone,
    /** The hard crash: every process of the browser at once. */
    async kill() {
      process.off("exit", killGroup);
      killGroup();
      await gone;
    },
  };
}
