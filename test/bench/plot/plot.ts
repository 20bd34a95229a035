import type { Plot, PlotSeries } from '../bench-case.js';
import { type Axis, axisFor } from './axis.js';

const size = { width: 720, height: 440 };
const frame = { left: 84, right: 680, top: 52, bottom: 340 };
const legendTop = 404;
/** The palette of Okabe and Ito, which is safe for color-blind readers. */
const colors = ['#0072b2', '#d55e00', '#009e73', '#cc79a7'];

/** The plot as SVG, with a white background so that it is readable on dark pages too. */
export function plotSvg(plot: Plot): string {
  const points = plot.series.flatMap((series) => series.points);
  const xAxis = axisFor(
    plot.x,
    points.map(([x]) => x),
    frame.left,
    frame.right,
  );
  const yAxis = axisFor(
    plot.y,
    points.map(([, y]) => y),
    frame.bottom,
    frame.top,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}"`,
    ` viewBox="0 0 ${size.width} ${size.height}" font-family="sans-serif" font-size="13" fill="#222">\n`,
    '<rect width="100%" height="100%" fill="#fff"/>\n',
    text(frame.left, 28, plot.title, 'font-size="16" font-weight="bold"'),
    grid(xAxis, yAxis),
    text((frame.left + frame.right) / 2, frame.bottom + 40, plot.x.label, 'text-anchor="middle"'),
    text(20, (frame.top + frame.bottom) / 2, plot.y.label, turned),
    ...plot.series.map((series, i) => curve(series, colorOf(i), xAxis, yAxis)),
    ...legend(plot.series),
    '</svg>\n',
  ].join('');
}

const turned = `text-anchor="middle" transform="rotate(-90 20 ${(frame.top + frame.bottom) / 2})"`;

function grid(xAxis: Axis, yAxis: Axis): string {
  const vertical = xAxis.ticks.map(
    ({ at, label }) =>
      line(at, frame.top, at, frame.bottom, '#e4e4e4') +
      text(at, frame.bottom + 18, label, 'text-anchor="middle"'),
  );
  const horizontal = yAxis.ticks.map(
    ({ at, label }) =>
      line(frame.left, at, frame.right, at, '#e4e4e4') +
      text(frame.left - 8, at + 4, label, 'text-anchor="end"'),
  );
  const sides =
    line(frame.left, frame.bottom, frame.right, frame.bottom, '#222') +
    line(frame.left, frame.top, frame.left, frame.bottom, '#222');
  return [...vertical, ...horizontal, sides].join('');
}

function curve({ points }: PlotSeries, color: string, xAxis: Axis, yAxis: Axis): string {
  const places = points.map(([x, y]) => [round(xAxis.place(x)), round(yAxis.place(y))] as const);
  const path = places.map(([x, y]) => `${x},${y}`).join(' ');
  const dots = places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3.5" fill="${color}"/>`);
  return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>${dots.join('')}\n`;
}

/** The legend: two entries per line, below the axis. */
function legend(series: readonly PlotSeries[]): string[] {
  return series.map(({ label }, i) => {
    const x = frame.left + (i % 2) * 310;
    const y = legendTop + Math.floor(i / 2) * 20;
    return `<rect x="${x}" y="${y - 9}" width="18" height="4" fill="${colorOf(i)}"/>${text(x + 26, y - 2, label)}`;
  });
}

function line(x1: number, y1: number, x2: number, y2: number, color: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map(round);
  return `<line x1="${a}" y1="${b}" x2="${c}" y2="${d}" stroke="${color}"/>\n`;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped}</text>\n`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function colorOf(index: number): string {
  return colors[index % colors.length] as string;
}
