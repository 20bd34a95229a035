import * as fields from '../../control/ng/fields.js';
import type { NgMessage } from '../../control/ng/message.js';
import { type Call, parseCall } from '../../domain/call.js';

/** A command about one call. */
export interface CallRequest {
  readonly command: string;
  readonly call: Call;
  readonly fromTag: string | undefined;
  /** A dialog has one once the other side has answered (RFC 3261 section 12): without it, the call is being set up. */
  readonly toTag: string | undefined;
  /** The deletion of one branch of a forked call carries it. */
  readonly viaBranch: string | undefined;
  /** Goes to the relay as it came: commands and options of tomorrow pass. */
  readonly body: Buffer;
  /** When the answer must have left, by the monotonic clock, ms. */
  readonly deadlineMs: number;
}

/** @throws HoldfastError `invalid-argument`; undefined if the message names no call */
export function callRequest({ body, raw }: NgMessage, deadlineMs: number): CallRequest | undefined {
  const callId = fields.callId(body);
  if (callId === undefined) {
    return undefined;
  }
  return {
    command: fields.command(body) ?? '',
    // One binding for all branches: rtpengine keeps the branches of a call together, and so must we.
    call: parseCall(callId),
    fromTag: fields.fromTag(body),
    toTag: fields.toTag(body),
    viaBranch: fields.viaBranch(body),
    body: raw,
    deadlineMs,
  };
}
