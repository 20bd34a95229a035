import { causeText } from '../domain/cause.js';
import type { CallDetails, HoldfastEvent } from '../domain/events.js';
import type { Address } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { HepSender } from './sender.js';

export interface CallLogDeps {
  readonly sender: Pick<HepSender, 'send' | 'local'>;
  readonly clock: Clock;
  /** Where a relay is controlled, if it is registered and that is an address. */
  readonly addressOf: (set: string, relay: string) => Address | undefined;
}

/** Tells Homer, and whoever else reads HEP, why a call is where it is: each event of a call as a line of a log. */
export class CallLog {
  readonly #deps: CallLogDeps;

  constructor(deps: CallLogDeps) {
    this.#deps = deps;
  }

  /** Events of others than single calls are not told. */
  hear(event: HoldfastEvent): void {
    const line = lineOf(event);
    const { sender, addressOf, clock } = this.#deps;
    const { local } = sender;
    if (line === undefined || !local) {
      return;
    }
    const { callId, set = '', relay = '' } = event.details as Partial<CallDetails>;
    sender.send({
      type: 'log',
      payload: Buffer.from(`holdfast: ${line}`),
      correlationId: Buffer.from(callId ?? ''),
      from: local,
      to: addressOf(set, relay) ?? local,
      atMs: clock.wallMs(),
    });
  }
}

/** Undefined for what is about no single call. */
function lineOf({ type, details }: HoldfastEvent): string | undefined {
  switch (type) {
    case 'callBound':
      return `bound to ${at(details)}`;
    case 'callMoved': {
      const { from, reason, by } = details;
      return `moved from ${from} to ${at(details)}: ${causeText(reason, by)}`;
    }
    case 'callAnswered':
      return `answered on ${at(details)}`;
    case 'callReleased':
      return `released on ${at(details)}`;
    case 'callAdopted':
      return `adopted: found on ${at(details)}, and etcd did not know it`;
    case 'callReasserted':
      return `written again to ${at(details)}: etcd had lost it`;
    case 'callOnTwoRelays':
      return `found on ${details.relays.join(' and ')}; ${details.kept} keeps it`;
    case 'promiseKept':
      return `bound to ${at(details)}, as promised while etcd was lost`;
    case 'promiseBroken':
      return `on ${at(details)}, while ${details.promised} was promised without etcd: ${details.because}`;
    case 'promiseDropped':
      return `promised without etcd, and not bound: ${details.reason}`;
    default:
      return undefined;
  }
}

const at = ({ set, relay, generation }: CallDetails) => `${set}/${relay}, generation ${generation}`;
