import type { GoneRelay, Relay, RelayIntent } from '../client/index.js';
import { relativeTime } from './output.js';
import { intentShape, relayShape } from './shapes.js';
import { type Column, table } from './table.js';
import type { Style, Terminal } from './terminal.js';

/** Why, who and since when; who and when are never cut. */
function intentColumns<Row>(
  read: (row: Row) => Pick<RelayIntent, 'reason' | 'actor' | 'time'>,
): readonly Column<Row>[] {
  return [
    { heading: 'REASON', rank: 5, cutTo: 15, optional: true, cell: (row) => read(row).reason },
    { heading: 'BY', rank: 5, optional: true, cell: (row) => read(row).actor },
    { heading: 'SINCE', rank: 5, optional: true, cell: (row) => timeText(read(row).time) },
  ];
}

const relayColumns: readonly Column<Relay>[] = [
  { heading: 'SET', rank: 3, cell: ({ set }) => set },
  { heading: 'RELAY', cell: ({ id }) => id },
  { heading: 'KIND', rank: 9, cell: (relay) => relayShape(relay).kind },
  { heading: 'STATE', rank: 1, cell: stateOf, style: (relay) => styleOf(stateOf(relay)) },
  { heading: 'WEIGHT', rank: 4, cell: ({ weight }) => String(weight) },
  { heading: 'CALLS', rank: 2, cell: callsOf },
  { heading: 'ZONE', rank: 7, cell: ({ zone }) => zone || '-' },
  { heading: 'CONTROL', rank: 8, cell: ({ controlUrl }) => controlUrl },
  { heading: 'INSTANCE', rank: 10, cell: ({ instance }) => instance },
  { heading: 'UP', rank: 6, cell: ({ startTime }) => relativeTime(startTime).replace(' ago', '') },
  ...intentColumns<Relay>(({ reason, actor, intentTime: time }) => ({ reason, actor, time })),
];

const absentColumns: readonly Column<RelayIntent>[] = [
  { heading: 'SET', cell: ({ set }) => set },
  { heading: 'RELAY', cell: ({ relayId }) => relayId },
  {
    heading: 'STATE',
    cell: (intent) => intentShape(intent).state,
    style: (intent) => styleOf(intentShape(intent).state),
  },
  { heading: 'WEIGHT', cell: ({ weight }) => (weight === undefined ? '-' : String(weight)) },
  ...intentColumns<RelayIntent>((intent) => intent),
];

const goneColumns: readonly Column<GoneRelay>[] = [
  { heading: 'SET', cell: ({ relay }) => relay?.set ?? '' },
  { heading: 'RELAY', cell: ({ relay }) => relay?.id ?? '' },
  { heading: 'LEFT', cell: ({ time }) => timeText(time) },
  { heading: 'CALLS', rank: 1, cell: ({ relay }) => String(relay?.load?.calls ?? '?') },
  { heading: 'WHY', rank: 2, cutTo: 20, cell: ({ reason }) => reason },
];

/** Lines that show relays that have left. */
export function goneTable(gone: readonly GoneRelay[], terminal: Terminal): string[] {
  return table(goneColumns, gone, terminal);
}

/** Lines that show registered relays. */
export function relayTable(relays: readonly Relay[], terminal: Terminal): string[] {
  return table(relayColumns, relays, terminal);
}

/** Lines that show what operators want of relays that are not registered. */
export function intentTable(intents: readonly RelayIntent[], terminal: Terminal): string[] {
  return table(absentColumns, intents, terminal);
}

/** Empty without one. */
function timeText(time: Date | undefined): string {
  return time ? relativeTime(time) : '';
}

export function stateOf(relay: Relay): string {
  return relayShape(relay).state;
}

function callsOf({ load, capacity }: Relay): string {
  return `${load?.calls ?? '?'}${capacity > 0 ? `/${capacity}` : ''}`;
}

const styles: Readonly<Record<string, Style>> = { active: 'green', draining: 'yellow', disabled: 'red' };

function styleOf(state: string): Style | undefined {
  return styles[state];
}
