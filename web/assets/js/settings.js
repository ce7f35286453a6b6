// What the browser remembers of how somebody likes the dashboard. Never a password.

const KEY = 'stoa';

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

export function setting(name, otherwise) {
  return read()[name] ?? otherwise;
}

export function remember(name, value) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...read(), [name]: value }));
  } catch {
    // A browser that keeps nothing shows the defaults next time.
  }
}

/** `light`, `dark`, or `auto`: as the system has it. */
export function applyTheme() {
  const theme = setting('theme', 'auto');
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
