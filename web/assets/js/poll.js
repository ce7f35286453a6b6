// Asking again and again, one question at a time, while somebody looks.

import { setting } from './settings.js';

/** Milliseconds between questions; 0: only when asked. */
export function interval() {
  return setting('interval', 5000);
}

/**
 * Calls `ask` now and after each interval, until `signal` is aborted. A page that is not visible does not ask; what takes longer than the interval is not asked
 * twice at once. `told(error)` hears of every answer, with an error or without. Returns a function that asks at once.
 */
export function poll(ask, signal, told) {
  let timer, running = false, again = false;
  async function once() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    clearTimeout(timer);
    try {
      await ask();
      if (!signal.aborted) told(null);
    } catch (error) {
      if (!signal.aborted) told(error);
    }
    running = false;
    if (signal.aborted) return;
    if (again) {
      again = false;
      once();
    } else if (interval() > 0) {
      timer = setTimeout(() => (document.hidden ? waitUntilVisible() : once()), interval());
    }
  }
  function waitUntilVisible() {
    document.addEventListener('visibilitychange', once, { once: true, signal });
  }
  signal.addEventListener('abort', () => clearTimeout(timer));
  once();
  return once;
}
