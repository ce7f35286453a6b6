// Numbers, sizes, times and rates as people read them.

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** A count; a dash where there is none. */
export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : '–';
}

/** A count in few characters: 12,345, 1.2 M. */
export function brief(value) {
  if (!Number.isFinite(value)) return '–';
  for (const [limit, unit] of [[1e9, 'G'], [1e6, 'M'], [1e5, 'k']]) {
    if (Math.abs(value) >= limit) return `${short.format(value / (unit === 'k' ? 1e3 : limit))} ${unit}`;
  }
  return whole.format(value);
}

/** A number a second. */
export function rate(value) {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0/s';
  return `${Math.abs(value) < 10 ? short.format(value) : brief(Math.round(value))}/s`;
}

/** Octets. */
export function bytes(value) {
  if (!Number.isFinite(value)) return '–';
  let size = value;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (Math.abs(size) < 1024) return `${unit === 'B' ? whole.format(size) : short.format(size)} ${unit}`;
    size /= 1024;
  }
  return `${short.format(size)} TiB`;
}

/** A span of milliseconds, in its two largest units. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 1) return '< 1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${short.format(ms / 1000)} s`;
  const parts = [];
  let rest = Math.floor(ms / 1000);
  for (const [unit, seconds] of [['d', 86_400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const n = Math.floor(rest / seconds);
    rest %= seconds;
    if (n > 0) parts.push(`${n} ${unit}`);
    if (parts.length === 2 || (parts.length === 1 && n === 0)) break;
  }
  return parts.join(' ');
}

/** How long ago a time in milliseconds was. */
export function ago(time) {
  return Number.isFinite(time) ? duration(Math.max(0, Date.now() - time)) : '–';
}

/** A point in time. */
export function time(ms) {
  return Number.isFinite(ms) ? new Date(ms).toLocaleString() : '–';
}

/** A rate of RabbitMQ's `*_details`. */
export function detailRate(object, name) {
  return object?.[`${name}_details`]?.rate;
}

/** Arguments or a policy's definition, as pairs. */
export function table(object) {
  return Object.entries(object ?? {}).map(([key, value]) => `${key}: ${typeof value === 'object' ? JSON.stringify(value) : value}`);
}
