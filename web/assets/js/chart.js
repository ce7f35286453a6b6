// Lines over time, drawn by uPlot (vendor/uplot). A chart keeps its element and takes new data as it comes.

import { fill, h } from './dom.js';

/** A colour as the canvas takes it: light-dark() is resolved in an element's colour, not in a variable's value. */
function resolved(name) {
  const probe = h('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const MINUTES = { hour: '2-digit', minute: '2-digit', hour12: false };
const SECONDS = { ...MINUTES, second: '2-digit' };
/** Seconds between marks of the time axis: those that fit first. */
const STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];
/** Times as they stand below: with seconds only if the marks are closer than a minute. */
const clock = (_, times) => times.map((at) => new Date(at * 1000).toLocaleTimeString([], times[1] - times[0] < 60 ? SECONDS : MINUTES));

/**
 * A chart of the series `[{label, value(row)...}]`. `format` writes a value. Call `draw(times, columns)` with times in seconds and a column of numbers a series.
 */
export function chart(label, series, format) {
  const element = h('div.chart', { role: 'img', 'aria-label': label });
  const none = h('div.none', {}, 'no data yet');
  element.append(none);
  let plot, shown;
  const observer = new ResizeObserver(() => plot?.setSize(size()));
  const size = () => ({ width: Math.max(200, element.clientWidth), height: 190 });

  function create(data) {
    const axis = { stroke: resolved('--soft'), grid: { stroke: resolved('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
    plot = new window.uPlot({
      ...size(),
      cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.08, 1)] } },
      axes: [{ ...axis, size: 26, space: 70, incrs: STEPS, values: clock }, { ...axis, size: 64, values: (_, ticks) => ticks.map(format) }],
      series: [
        { value: (_, at) => (at == null ? '' : new Date(at * 1000).toLocaleTimeString()) },
        ...series.map((name, index) => ({
          label: name, stroke: resolved(`--series-${index + 1}`), width: 2, spanGaps: true, points: { show: false },
          fill: index === 0 ? resolved(`--series-1`).replace('rgb(', 'rgba(').replace(')', ', .08)') : undefined,
          value: (_, value) => (value == null ? '–' : format(value)),
        })),
      ],
    }, data, element);
    observer.observe(element);
  }

  return {
    element,
    draw(times, columns) {
      const theme = document.documentElement.dataset.theme ?? matchMedia('(prefers-color-scheme: dark)').matches;
      if (times.length < 2) return;
      none.hidden = true;
      const last = columns.map((column, index) => `${series[index]} ${format(column.at(-1) ?? 0)}`);
      element.setAttribute('aria-label', `${label}: now ${last.join(', ')}`);
      if (plot && shown === theme) plot.setData([times, ...columns]);
      else {
        plot?.destroy();
        create([times, ...columns]);
      }
      shown = theme;
      // The newest values stand below, until somebody points at others.
      // A new plot clears them once more when it is first painted.
      const newest = () => plot && !(plot.cursor.left >= 0) && plot.setLegend({ idx: plot.data[0].length - 1 });
      newest();
      setTimeout(newest);
    },
    clear() {
      plot?.destroy();
      plot = undefined;
      fill(element, none);
      none.hidden = false;
    },
  };
}

/**
 * The samples of RabbitMQ's `*_details` (newest first, in milliseconds) as times in seconds and columns of the same length. With `asRate` counters become
 * differences a second.
 */
export function samples(object, names, asRate) {
  const times = [];
  const columns = names.map(() => []);
  const lists = names.map((name) => [...(object?.[`${name}_details`]?.samples ?? [])].reverse());
  const longest = lists.reduce((best, list) => (list.length > best.length ? list : best), []);
  for (let i = asRate ? 1 : 0; i < longest.length; i++) {
    times.push(longest[i].timestamp / 1000);
    lists.forEach((list, index) => {
      const here = list[i], before = list[i - 1];
      if (!here) columns[index].push(asRate ? 0 : null);
      else if (!asRate) columns[index].push(here.sample);
      else columns[index].push(before ? Math.max(0, (here.sample - before.sample) * 1000 / (here.timestamp - before.timestamp)) : 0);
    });
  }
  return [times, columns];
}
