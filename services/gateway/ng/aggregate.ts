import type { NgDictionary, NgValue } from '../../control/ng/message.js';
import { readReply } from '../../control/ng/reply.js';
import type { NgRequest } from '../../control/ng/request.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { RelayAccess } from '../relay-clients.js';
import { mergeStatistics } from './statistics.js';

const timeoutMs = 500;
/** rtpengine's own default for `list`. */
const defaultLimit = 32;

/** `list` and `statistics`: all relays are asked, and one answer is made of theirs. Relays that do not answer are left out. */
export async function aggregate(
  request: NgRequest,
  relays: readonly RegisteredRelay[],
  clients: RelayAccess,
): Promise<NgDictionary> {
  const asked = await Promise.all(relays.map((relay) => clients.ask(relay, request, timeoutMs)));
  const replies: NgDictionary[] = [];
  for (const each of asked) {
    const reply = each.kind === 'replied' ? readReply(each.reply) : undefined;
    if (reply) {
      replies.push(reply);
    }
  }
  return request.command === 'list'
    ? { result: 'ok', calls: mergeCalls(replies, limitOf(request)) }
    : { result: 'ok', statistics: mergeStatistics(replies.map(({ statistics }) => statistics)) };
}

/** A client may send anything: what is no number above 0 is the default, as with rtpengine. */
function limitOf({ message: { body } }: NgRequest): number {
  const { limit } = body;
  const asked = typeof limit === 'number' || typeof limit === 'string' ? Number(limit) : 0;
  return asked > 0 ? asked : defaultLimit;
}

function mergeCalls(replies: readonly NgDictionary[], limit: number): NgValue[] {
  return replies.flatMap(({ calls }) => (Array.isArray(calls) ? calls : [])).slice(0, limit);
}
