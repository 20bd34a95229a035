import { NgClientError } from '../control/ng/client.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { RelayClients } from './relay-clients.js';

export type Asked =
  /** The relay's reply, byte for byte. */
  | { readonly kind: 'replied'; readonly reply: Buffer }
  /** Nothing listens there any more, or it cannot be reached: known at once. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Nothing came back in time: the request may have been carried out all the same. */
  | { readonly kind: 'silent'; readonly reason: string };

/** Copies of one request to a relay go out this often; rtpengine answers a copy from its memory. */
const retransmitMs = 100;

/** Puts a request to a relay, and says what came of it instead of throwing. */
export async function askRelay(
  clients: RelayClients,
  { relay }: RegisteredRelay,
  body: Buffer,
  timeoutMs: number,
): Promise<Asked> {
  const client = clients.get(relay.controlUrl);
  if (!client) {
    return { kind: 'refused', reason: `${relay.controlUrl} is no ng address` };
  }
  try {
    return {
      kind: 'replied',
      reply: await client.requestRaw(body, { timeoutMs: Math.max(1, Math.round(timeoutMs)), retransmitMs }),
    };
  } catch (error) {
    if (!(error instanceof NgClientError)) {
      throw error;
    }
    return { kind: error.code === 'timeout' ? 'silent' : 'refused', reason: error.message };
  }
}
