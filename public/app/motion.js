// How items of a list come and go. Without motion for those who asked for none.

const still = matchMedia("(prefers-reduced-motion: reduce)");
const EASE = "cubic-bezier(.2, .7, .2, 1)";

/** An item that was just put into its list. */
export function arrive(item) {
  if (still.matches) return;
  item.animate(
    [
      { opacity: 0, transform: "translateY(10px)" },
      { opacity: 1, transform: "none" },
    ],
    { duration: 280, easing: EASE },
  );
}

/** Takes an item out: toward the server if it was delivered, else it fades where it is. */
export async function depart(item, delivered) {
  item.inert = true;
  if (!still.matches && !document.hidden) {
    const away = delivered ? "translateX(28px)" : "scale(.98)";
    await played(
      item.animate(
        [
          { opacity: 1, transform: "none" },
          { opacity: 0, transform: away },
        ],
        {
          duration: delivered ? 420 : 200,
          delay: delivered ? 220 : 0,
          easing: "ease-in",
          fill: "both",
        },
      ),
    );
    const { height } = item.getBoundingClientRect();
    item.classList.add("folding");
    const { paddingTop, paddingBottom } = getComputedStyle(item);
    await played(
      item.animate(
        [
          { height: `${height}px`, paddingTop, paddingBottom },
          { height: "0", paddingTop: "0", paddingBottom: "0" },
        ],
        { duration: 180, easing: EASE, fill: "both" },
      ),
    );
  }
  item.remove();
}

const played = (animation) => animation.finished.catch(() => {});
