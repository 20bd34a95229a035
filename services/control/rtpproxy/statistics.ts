/** What an rtpproxy answers to `I`. */
export interface Info {
  readonly sessionsCreated: number;
  readonly activeSessions: number;
  readonly activeStreams: number;
  readonly packetsReceived: number;
  readonly packetsTransmitted: number;
  /** Of the machine; undefined unless it was asked for. */
  readonly averageLoad: number | undefined;
}

const lines = {
  sessionsCreated: 'sessions created',
  activeSessions: 'active sessions',
  activeStreams: 'active streams',
  packetsReceived: 'packets received',
  packetsTransmitted: 'packets transmitted',
} as const;
const counts = Object.entries(lines) as [keyof typeof lines, string][];
const loadLine = 'average load';

/** Undefined if it is no such answer. */
export function parseInfo(reply: Buffer): Info | undefined {
  const told = new Map(
    reply
      .toString('latin1')
      .split('\n')
      .map((line): [string, string] => {
        const [name = '', value = ''] = line.split(':', 2);
        return [name.trim(), value.trim()];
      }),
  );
  // Of version 1 some lines are missing.
  const count = (name: string) => (/^\d+$/.test(told.get(name) ?? '0') ? Number(told.get(name) ?? 0) : 0);
  if (!told.has(lines.sessionsCreated) || !told.has(lines.activeSessions)) {
    return undefined;
  }
  const load = told.get(loadLine);
  return {
    ...(Object.fromEntries(counts.map(([key, name]) => [key, count(name)])) as Record<
      keyof typeof lines,
      number
    >),
    averageLoad: load === undefined ? undefined : Number(load) || 0,
  };
}

/** Of several relays as of one: counts are added up, and the load is the mean. */
export function mergeInfo(each: readonly Info[]): Info {
  const sum = (key: keyof typeof lines) => each.reduce((total, info) => total + info[key], 0);
  const loads = each.flatMap(({ averageLoad }) => averageLoad ?? []);
  return {
    ...(Object.fromEntries(counts.map(([key]) => [key, sum(key)])) as Record<keyof typeof lines, number>),
    averageLoad:
      loads.length === 0 ? undefined : loads.reduce((total, load) => total + load, 0) / loads.length,
  };
}

/** In rtpproxy's words. */
export function formatInfo(info: Info, withLoad: boolean): Buffer {
  const text = counts.map(([key, name]) => `${name}: ${info[key]}\n`);
  const load = withLoad ? [`${loadLine}: ${(info.averageLoad ?? 0).toFixed(6)}\n`] : [];
  return Buffer.from([...text, ...load].join(''));
}

/** Values of counters, in the order in which they were asked for. @returns undefined if the reply is no list of numbers */
export function parseCounters(reply: Buffer): string[] | undefined {
  const words = reply
    .toString('latin1')
    .trim()
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => word.slice(word.indexOf('=') + 1));
  return words.every((word) => /^-?\d+(?:\.\d+)?$/.test(word)) ? words : undefined;
}

/** Of several relays as of one, with as many digits as they gave. @param names where they are to be told */
export function mergeCounters(
  each: readonly (readonly string[])[],
  names: readonly string[] | undefined,
): Buffer {
  const [first = []] = each;
  const sums = first.map((value, i) => {
    const digits = value.split('.')[1]?.length ?? 0;
    const sum = each.reduce((total, values) => total + Number(values[i] ?? 0), 0);
    return `${names ? `${names[i]}=` : ''}${sum.toFixed(digits)}`;
  });
  return Buffer.from(`${sums.join(' ')}\n`);
}
