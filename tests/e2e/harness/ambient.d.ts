// The globals of the pages under test, which functions given to `page.evaluate` use: see tests/e2e/site/page.mjs.

interface Window {
  // biome-ignore lint/suspicious/noExplicitAny: tests call it by wrong names and with wrong arguments on purpose.
  client: any;
  connect: (options?: object) => Promise<unknown>;
  /** Of `makeForm`. */
  form: FormData;
  ready: boolean;
}
