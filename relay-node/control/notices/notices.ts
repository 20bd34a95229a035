import type { Address } from '../../../services/runtime/address.js';
import type { Clock } from '../../../services/runtime/clock.js';
import { type DatagramCounters, DatagramSender } from '../../../services/runtime/datagram-sender.js';
import type { Logger } from '../../../services/runtime/log.js';
import type { Sessions } from '../../media/sessions.js';
import { keyNotice, timeoutNotice } from './notice.js';
import { Webhook } from './webhook.js';

/** Who is told; nobody if undefined. */
export interface Audience {
  /** Hears of keys as from an rtpengine with `--dtmf-log-dest`: a datagram of JSON for each. */
  readonly dtmfLog?: Address | undefined;
  /** An http or https URL that hears of keys and of calls that timed out. */
  readonly webhook?: string | undefined;
}

export interface NoticesDeps {
  readonly sessions: Sessions;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What becomes of notices, by who is told. */
export type NoticeCounters = Readonly<Partial<Record<'dtmf-log' | 'webhook', DatagramCounters>>>;

/** Tells programs of the operator's what happens in calls, without being asked. */
export class Notices {
  readonly #dtmfLog: DatagramSender | undefined;
  readonly #webhook: Webhook | undefined;
  readonly #unsubscribe: readonly (() => void)[];

  constructor({ dtmfLog, webhook }: Audience, { sessions, clock, log }: NoticesDeps) {
    this.#dtmfLog = dtmfLog && new DatagramSender({ what: 'DTMF', to: dtmfLog, clock, log });
    this.#webhook = webhook ? new Webhook({ url: webhook, clock, log }) : undefined;
    this.#unsubscribe = [
      sessions.keys.add((key) => {
        const notice = keyNotice(key, clock.wallMs());
        this.#dtmfLog?.send(() => Buffer.from(JSON.stringify(notice)));
        this.#webhook?.tell(notice);
      }),
      sessions.ended.add((ended) => {
        if (ended.reason !== 'deleted') {
          this.#webhook?.tell(timeoutNotice(ended, clock.wallMs()));
        }
      }),
    ];
  }

  /** Somebody is told of keys. */
  static hearsKeys({ dtmfLog, webhook }: Audience): boolean {
    return dtmfLog !== undefined || Boolean(webhook);
  }

  get counters(): NoticeCounters {
    return {
      ...(this.#dtmfLog ? { 'dtmf-log': this.#dtmfLog.counters } : {}),
      ...(this.#webhook ? { webhook: this.#webhook.counters } : {}),
    };
  }

  start(): void {
    this.#dtmfLog?.start();
  }

  stop(): void {
    for (const unsubscribe of this.#unsubscribe) {
      unsubscribe();
    }
    this.#dtmfLog?.stop();
    this.#webhook?.stop();
  }
}
