import type { Act, Verdict } from '../protocol.js';

/** What a relay says that has no port or no memory left, or is too busy. */
const full: ReadonlySet<number> = new Set([71, 72, 81, 82, 83, 84, 85, 86, 87, 88, 89, 98, 99]);
/** The same from version 1, and from what took over its numbers; to a `U` alone, for they have other meanings too. */
const fullOfOld: ReadonlySet<number> = new Set([7, 10]);
/**
 * The relay has no second address, no address of that family, none such as was named, does not know the modifier, or does not
 * tell of timeouts.
 */
const unsupported: ReadonlySet<number> = new Set([11, 12, 15, 16, 35, 36, 75]);
const unknownSession = 50;

/** What a relay's reply means. Replies to sub-commands come after that, and are for the sender. */
export function judgeReply(reply: Buffer, act: Act): Verdict {
  const [text = ''] = reply.toString('latin1').trim().split(' && ', 1);
  const [, code] = /^E(\d{1,3})$/i.exec(text) ?? [];
  if (code !== undefined) {
    return judgeError(Number(code), act);
  }
  if (act !== 'begin' && act !== 'extend' && act !== 'answer') {
    return { kind: 'accepted' };
  }
  const [, port] = /^(\d{1,5})(?: \S+(?: 6)?)?$/.exec(text) ?? [];
  if (port === undefined) {
    return { kind: 'error', reason: 'a reply that is not rtpproxy' };
  }
  if (Number(port) > 0) {
    return { kind: 'accepted' };
  }
  return act === 'answer' ? { kind: 'unknown-call' } : { kind: 'full', reason: 'port 0' };
}

function judgeError(code: number, act: Act): Verdict {
  const reason = `E${code}`;
  if (code === unknownSession) {
    return { kind: act === 'delete' ? 'unchanged' : 'unknown-call' };
  }
  if (full.has(code) || ((act === 'begin' || act === 'extend') && fullOfOld.has(code))) {
    return { kind: 'full', reason };
  }
  return { kind: unsupported.has(code) ? 'unsupported' : 'error', reason };
}

/** Packets from both parties of a session, as the reply to a `Q` tells: `TTL IN_A IN_O RELAYED DROPPED`. */
export function packetsIn(reply: Buffer): number {
  const [, , inA = 0, inO = 0] = /^(\d+) (\d+) (\d+) \d+ \d+\s*$/.exec(reply.toString('latin1')) ?? [];
  return Number(inA) + Number(inO);
}
