// The engines under test, with one interface.

import { startChromium } from "./chromium.mjs";
import { startFirefox } from "./firefox.mjs";
import { startWebKit, webkitServerArgs } from "./webkit.mjs";

export const chromium = { name: "Chromium", start: startChromium, serverArgs: () => [] };
export const firefox = { name: "Firefox", start: startFirefox, serverArgs: () => [] };
export const webkit = { name: "WebKitGTK", start: startWebKit, serverArgs: webkitServerArgs };

/** Those that have no Background Sync. */
export const others = [firefox, webkit];
