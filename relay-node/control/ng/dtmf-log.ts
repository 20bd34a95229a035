import type { Address } from '../../../services/runtime/address.js';
import type { Clock } from '../../../services/runtime/clock.js';
import { type DatagramCounters, DatagramSender } from '../../../services/runtime/datagram-sender.js';
import type { Logger } from '../../../services/runtime/log.js';
import type { Call } from '../../media/call.js';
import type { Key } from '../../media/dialog.js';
import type { Sessions } from '../../media/sessions.js';

export interface DtmfLogDeps {
  readonly sessions: Sessions;
  readonly to: Address;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Tells of each key that a party presses, a datagram of JSON a key, as rtpengine with `--dtmf-log-dest`. */
export class DtmfLog {
  readonly #sender: DatagramSender;
  readonly #unsubscribe: () => void;

  constructor({ sessions, to, clock, log }: DtmfLogDeps) {
    this.#sender = new DatagramSender({ what: 'DTMF', to, clock, log });
    this.#unsubscribe = sessions.keys.add((key) => {
      this.#sender.send(() => Buffer.from(JSON.stringify(noticeOf(key, clock.wallMs()))));
    });
  }

  get counters(): DatagramCounters {
    return this.#sender.counters;
  }

  start(): void {
    this.#sender.start();
  }

  stop(): void {
    this.#unsubscribe();
    this.#sender.stop();
  }
}

function noticeOf({ call, dialog, side, event, address }: Key & { readonly call: Call }, wallMs: number) {
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
