// The worker of the tests, but for not waiting to be the active one.
importScripts("/sw.js");
self.addEventListener("install", () => self.skipWaiting());
