import type { Call } from '../../media/call.js';
import type { Key } from '../../media/dialog.js';
import type { EndedDialog } from '../../media/sessions.js';

/** What is told of a call, in rtpengine's words where it has them. */
export interface Notice {
  readonly callid: string;
  readonly tags: readonly string[];
  readonly type: 'DTMF' | 'TIMEOUT';
  /** Seconds since 1970. */
  readonly timestamp: number;
  readonly [field: string]: unknown;
}

export function keyNotice(
  { call, dialog, side, event, address }: Key & { readonly call: Call },
  wallMs: number,
): Notice {
  const tags = [...call.dialogs].flatMap((each) => each.tags.filter((tag) => tag !== undefined));
  return {
    callid: call.id,
    source_tag: dialog.tags[side] ?? '',
    tags: [...new Set(tags)],
    type: 'DTMF',
    timestamp: Math.floor(wallMs / 1000),
    source_ip: address,
    event: event.code,
    duration: event.durationMs,
    volume: event.volume,
  };
}

/** rtpengine tells none. A branch of a forked call has one of its own. */
export function timeoutNotice({ call, dialog, reason }: EndedDialog, wallMs: number): Notice {
  return {
    callid: call.id,
    tags: dialog.tags.filter((tag) => tag !== undefined),
    type: 'TIMEOUT',
    reason,
    timestamp: Math.floor(wallMs / 1000),
  };
}
