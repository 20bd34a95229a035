import * as fields from '../../control/ng/fields.js';
import type { NgDictionary, NgMessage, NgValue } from '../../control/ng/message.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { RelayClients } from '../relay-clients.js';
import { askRelay } from '../relay-link.js';
import { readReply } from './reply.js';

const patienceMs = 500;
/** rtpengine's own default for `list`. */
const defaultLimit = 32;

/** `list` and `statistics`: asked of all relays, and merged into one answer. Relays that do not answer are left out. */
export async function aggregate(
  message: NgMessage,
  relays: readonly RegisteredRelay[],
  clients: RelayClients,
): Promise<NgDictionary> {
  const asked = await Promise.all(relays.map((relay) => askRelay(clients, relay, message.raw, patienceMs)));
  const replies: NgDictionary[] = [];
  for (const each of asked) {
    const reply = each.kind === 'replied' ? readReply(each.reply) : undefined;
    if (reply) {
      replies.push(reply);
    }
  }
  return fields.command(message.body) === 'list'
    ? { result: 'ok', calls: mergeCalls(replies, limitOf(message)) }
    : { result: 'ok', statistics: mergeStatistics(replies) };
}

/** A client may send anything: what is no number above 0 is the default, as with rtpengine. */
function limitOf({ body: { limit } }: NgMessage): number {
  const asked = typeof limit === 'number' || typeof limit === 'string' ? Number(limit) : 0;
  return asked > 0 ? asked : defaultLimit;
}

function mergeCalls(replies: readonly NgDictionary[], limit: number): NgValue[] {
  return replies.flatMap(({ calls }) => (Array.isArray(calls) ? calls : [])).slice(0, limit);
}

function mergeStatistics(replies: readonly NgDictionary[]): NgValue {
  return (
    replies
      .map(({ statistics }) => statistics)
      .reduce<NgValue | undefined>((one, other) => merge(one, other), undefined) ?? {}
  );
}

/** What counts is added up. Averages and deviations of several relays cannot be had from theirs: the mean must do. */
function merge(one: NgValue | undefined, other: NgValue | undefined, name = ''): NgValue | undefined {
  if (one === undefined) {
    return other;
  }
  if (other === undefined) {
    return one;
  }
  if (isTree(one) && isTree(other)) {
    const merged: NgDictionary = {};
    for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) {
      const value = merge(one[key], other[key], key);
      if (value !== undefined) {
        merged[key] = value;
      }
    }
    return merged;
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return [...one, ...other];
  }
  if (typeof one === 'object' || typeof other === 'object') {
    return one;
  }
  const [a, b] = [Number(one), Number(other)];
  if (Number.isNaN(a) || Number.isNaN(b)) {
    return one;
  }
  const joined = join(name, a, b);
  // rtpengine tells fractions and the uptime as text.
  return typeof one === 'number' && Number.isInteger(joined) ? joined : String(joined);
}

function join(name: string, a: number, b: number): number {
  if (name === 'uptime' || name.startsWith('min')) {
    return Math.min(a, b);
  }
  if (name.startsWith('max')) {
    return Math.max(a, b);
  }
  if (name.startsWith('avg') || name.endsWith('stddev')) {
    return (a + b) / 2;
  }
  return a + b;
}

function isTree(value: NgValue): value is NgDictionary {
  return typeof value === 'object' && !Array.isArray(value) && !Buffer.isBuffer(value);
}
