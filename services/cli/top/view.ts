import type { RecordedEvent } from '../../domain/recorded-event.js';
import type { ReplicaStatus } from '../../domain/status.js';
import type { ShownState } from '../../page/state.js';
import { timeOfDay } from '../output.js';
import { type Column, table } from '../table.js';
import { cut, printable, type Style, styled, type Terminal } from '../terminal.js';
import type { Choice } from './choice.js';
import { isTrouble, type Row, rowsOf } from './rows.js';

/** What `holdfast top` draws: the page's model as lines of a terminal. */

const marks = { ok: '✓', info: '·', warning: '!', critical: '✕' } as const;
const tones: Readonly<Record<string, Style>> = { ok: 'green', warning: 'yellow', critical: 'red' };
const stateMarks: Readonly<Record<string, string>> = {
  active: '●',
  draining: '◐',
  disabled: '○',
  full: '▲',
  gone: '✕',
};
const stateTones: Readonly<Record<string, Style>> = {
  active: 'green',
  draining: 'yellow',
  full: 'yellow',
  disabled: 'red',
  gone: 'red',
};
const mostProblems = 4;
const mostEvents = 200;
/** What was heard before that is stale, ms. */
const staleMs = 5000;

const number = (value: number | undefined) =>
  value === undefined ? '-' : Math.round(value).toLocaleString('en-US');
const rate = (value: number) => (value === 0 || value >= 10 ? number(value) : value.toFixed(1));
const percent = (part: number) => `${Math.round(100 * part)}%`;

interface TopColumn extends Column<Row> {
  /** What it is sorted by; undefined where it is not. */
  readonly by?: (row: Row) => string | number;
}

const topColumns: readonly TopColumn[] = [
  { heading: 'SET', rank: 3, cell: ({ set }) => set, by: ({ set }) => set },
  { heading: 'RELAY', cell: ({ id }) => id, by: ({ id }) => id },
  {
    heading: 'STATE',
    cell: ({ word }) => `${stateMarks[word] ?? ' '} ${word}`,
    style: ({ word }) => stateTones[word],
    by: ({ word }) => word,
  },
  {
    heading: 'CALLS',
    rank: 1,
    cell: ({ calls, capacity }) => `${number(calls)}${capacity > 0 ? `/${number(capacity)}` : ''}`,
    by: ({ calls = -1 }) => calls,
  },
  {
    heading: 'SHARE',
    rank: 5,
    cell: ({ share, weightShare }) =>
      share === undefined ? '-' : `${percent(share)} of ${percent(weightShare)}`,
    by: ({ share = -1 }) => share,
  },
  {
    heading: 'NEW/S',
    rank: 2,
    cell: ({ newPerSecond }) => rate(newPerSecond),
    by: ({ newPerSecond }) => newPerSecond,
  },
  {
    heading: 'PING',
    rank: 4,
    cell: ({ pingMs }) => (pingMs === undefined ? '-' : `${pingMs.toFixed(1)} ms`),
    by: ({ pingMs = -1 }) => pingMs,
  },
  {
    heading: 'PACKETS/S',
    rank: 6,
    cell: ({ packetRate }) => number(packetRate),
    by: ({ packetRate = -1 }) => packetRate,
  },
  { heading: 'PATH', rank: 9, optional: true, cell: ({ path }) => path },
  { heading: 'ZONE', rank: 8, optional: true, cell: ({ zone }) => zone, by: ({ zone }) => zone },
  { heading: 'WHY', rank: 7, cutTo: 16, optional: true, cell: ({ why }) => why },
];

/** Names of the columns that rows can be sorted by. */
export const sortable = topColumns.filter(({ by }) => by).map(({ heading }) => heading);

/** All that is shown, without an end: for a file or a pipe. */
export function topLines(state: ShownState, choice: Choice, terminal: Terminal): string[] {
  const rows = chosenRows(state, choice);
  const events = latest(state);
  return [
    ...head(state.status(), terminal),
    '',
    ...(rows.length > 0 ? table(topColumns, rows, terminal) : [nothing(choice)]),
    ...(events.length > 0 ? ['', ...events.map((event) => eventLine(event, terminal))] : []),
    '',
    foot(state.status(), terminal),
  ];
}

/** No more lines than the terminal has, and none that is longer. Scrolling is bounded to what there is: `choice.scroll` is put right. */
export function topScreen(
  state: ShownState,
  choice: Choice,
  { terminal, height }: { readonly terminal: Terminal; readonly height: number },
  heardAtMs: number | undefined,
): string[] {
  const status = state.status();
  const top = [...head(status, terminal), staleLine(state, heardAtMs, terminal), controls(choice, terminal)];
  const rows = chosenRows(state, choice);
  // The heading of the table, the line between it and the events, and the last line.
  const room = Math.max(1, height - top.length - 3);
  const told = choice.events
    ? Math.min(latest(state).length, Math.max(0, room - Math.min(rows.length, Math.ceil(room * 0.6))))
    : 0;
  const most = room - told;
  choice.scroll = Math.max(0, Math.min(choice.scroll, rows.length - most));
  const below = rows.length - choice.scroll - most;
  const shown = rows.slice(choice.scroll, choice.scroll + (below > 0 ? most - 1 : most));
  const body = rows.length > 0 ? table(topColumns, shown, terminal) : [nothing(choice)];
  const more = below > 0 ? [cut(`… ${below + 1} more below`, widthOf(terminal))] : [];
  const events = latest(state)
    .slice(0, told)
    .map((event) => eventLine(event, terminal));
  const lines = [...top, ...body, ...more, ...(events.length > 0 ? ['', ...events] : [])];
  return [...lines.slice(0, height - 1), foot(status, terminal)].slice(0, height);
}

const widthOf = ({ width = Number.POSITIVE_INFINITY }: Terminal) => width;

function head({ level, summary, advice, problems }: ReplicaStatus, terminal: Terminal): string[] {
  const line = (text: string, style?: Style) =>
    styled(cut(printable(text), widthOf(terminal)), style, terminal);
  const others = problems.slice(1, mostProblems);
  return [
    line(`${marks[level]} ${summary}`, tones[level]),
    ...(advice ? [line(`  ${advice}`)] : []),
    ...others.map((problem) => line(`${marks[problem.level]} ${problem.text}`, tones[problem.level])),
  ];
}

/** Empty where what is shown is how things are. */
function staleLine({ clock }: ShownState, heardAtMs: number | undefined, terminal: Terminal): string {
  const ageMs = heardAtMs === undefined ? 0 : clock.monotonicMs() - heardAtMs;
  return ageMs < staleMs
    ? ''
    : styled(
        cut(`… stale for ${Math.round(ageMs / 1000)} s; trying again`, widthOf(terminal)),
        'bold',
        terminal,
      );
}

function controls({ sort, descending, filter, typing, trouble }: Choice, terminal: Terminal): string {
  const order = sort === undefined ? 'trouble first' : `${sort} ${descending ? '↓' : '↑'}`;
  const parts = [
    `sort: ${order}`,
    typing || filter ? `filter: ${printable(filter)}${typing ? '▏' : ''}` : '',
    trouble ? 'only trouble' : '',
    typing ? 'Enter keeps it, Esc drops it' : 's r sort  / filter  t trouble  e events  ↑↓ scroll  q ends',
  ];
  return cut(parts.filter(Boolean).join('  '), widthOf(terminal));
}

function nothing({ filter, trouble }: Choice): string {
  return trouble ? 'no relay is in trouble' : filter ? 'no relay matches' : 'no relay is registered';
}

function chosenRows(state: ShownState, { sort, descending, filter, trouble }: Choice): Row[] {
  const words = filter.toLowerCase();
  const matches = ({ set, id, zone, kind, word }: Row) =>
    `${set}/${id} ${zone} ${kind} ${word}`.toLowerCase().includes(words);
  const by = topColumns.find(({ heading }) => heading === sort)?.by;
  const sign = descending ? -1 : 1;
  const order = by
    ? (a: Row, b: Row) => sign * compare(by(a), by(b))
    : (a: Row, b: Row) => Number(isTrouble(b)) - Number(isTrouble(a));
  return rowsOf(state)
    .filter((row) => matches(row) && (!trouble || isTrouble(row)))
    .sort((a, b) => order(a, b) || collator.compare(a.set, b.set) || collator.compare(a.id, b.id));
}

const collator = new Intl.Collator('en', { numeric: true });

function compare(a: string | number, b: string | number): number {
  return typeof a === 'string' && typeof b === 'string' ? collator.compare(a, b) : Number(a) - Number(b);
}

/** The latest first. Replicas tell what was before one after the other: the order is made here. */
function latest({ feed }: ShownState): RecordedEvent[] {
  const { events } = feed.read(Math.max(0, feed.positionBefore(0) - mostEvents), mostEvents);
  return events.toSorted((a, b) => b.atMs - a.atMs);
}

function eventLine({ atMs, severity, text }: RecordedEvent, terminal: Terminal): string {
  const line = `${timeOfDay(new Date(atMs))}  ${marks[severity]} ${printable(text)}`;
  return styled(cut(line, widthOf(terminal)), severity === 'info' ? undefined : tones[severity], terminal);
}

function foot({ etcd, replicas, name }: ReplicaStatus, terminal: Terminal): string {
  const answer = etcd.answers ? 'etcd answers' : `etcd: ${etcd.reason ?? 'not known'}`;
  const updates = etcd.updates || !etcd.answers ? '' : ', no updates from it';
  const differing = replicas.filter((replica) => replica.differing.length > 0).map((replica) => replica.name);
  const difference = differing.length > 0 ? `, other settings: ${differing.join(', ')}` : '';
  const text = `${answer}${updates}; ${replicas.length} ${replicas.length === 1 ? 'replica' : 'replicas'}${difference}; asked: ${name}`;
  return cut(printable(text), widthOf(terminal));
}
