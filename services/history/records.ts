import { causeText } from '../domain/cause.js';
import type { HoldfastEvent } from '../domain/events.js';
import type { NewRecord } from './event-ring.js';

/** What the records of events say. */

type Event<Type extends HoldfastEvent['type']> = Extract<HoldfastEvent, { readonly type: Type }>;

/** What happens to one call of many, and is counted. */
export type CallEvent = Event<(typeof callTypes)[number]>;

const callTypes = [
  'callMoved',
  'callAdopted',
  'callOnTwoRelays',
  'promiseBroken',
  'promiseDropped',
  'callRefused',
] as const;

export function isCallEvent(event: HoldfastEvent): event is CallEvent {
  return callTypes.some((type) => type === event.type);
}

type RelayEvent = Event<
  | 'relayJoined'
  | 'relayRestarted'
  | 'relayWeightChanged'
  | 'relayFull'
  | 'relayHasRoom'
  | 'relaySuspect'
  | 'relayBack'
  | 'relayLeft'
>;

type StateEvent = Event<
  'relayStateChanged' | 'etcdLost' | 'etcdBack' | 'historyChanged' | 'bindingsReasserted' | 'settingsDiffer'
>;

type CertificateEvent = Event<'certificatesChanged' | 'certificatesInvalid' | 'certificateExpires'>;

/** Events of calls that are counted together have the same. */
export function keyOf({ type, details }: CallEvent): string {
  switch (type) {
    case 'callMoved':
      return [type, details.set, details.from, details.reason, details.by].join('\n');
    case 'callAdopted':
      return [type, details.set, details.relay].join('\n');
    case 'promiseBroken':
      return [type, details.because].join('\n');
    case 'callRefused':
      return [type, details.front, details.cause].join('\n');
    default:
      return type;
  }
}

export function callRecord({ type, details }: CallEvent, calls: number): NewRecord {
  const some = `${calls} ${calls === 1 ? 'call' : 'calls'}`;
  switch (type) {
    case 'callMoved': {
      const { set, from, reason, by } = details;
      const text = `${some} of ${set}/${from} moved${because(reason, by)}`;
      return { type: 'calls-moved', severity: 'warning', text, set, relay: from, calls, reason, by };
    }
    case 'callAdopted': {
      const { set, relay } = details;
      const text = `${some} adopted: ${set}/${relay} carries ${calls === 1 ? 'it' : 'them'}, unknown to etcd`;
      return { type: 'calls-adopted', severity: 'info', text, set, relay, calls };
    }
    case 'callOnTwoRelays': {
      const text = `${some} found on two relays at once`;
      return { type: 'calls-doubled', severity: 'warning', text, calls };
    }
    case 'promiseBroken': {
      const { because: reason } = details;
      const text = `${some} on another relay than promised while etcd was lost: ${reason}`;
      return { type: 'calls-rebound', severity: 'warning', text, calls, reason };
    }
    case 'promiseDropped': {
      const { reason } = details;
      const text = `${some} promised a relay while etcd was lost could not be bound: ${reason}`;
      return { type: 'calls-unbound', severity: 'warning', text, calls, reason };
    }
    case 'callRefused': {
      const { front, cause } = details;
      const text = `${some} refused by ${front}: ${causes[cause] ?? cause}`;
      return { type: 'calls-refused', severity: 'critical', text, calls, reason: cause };
    }
  }
}

const causes: Readonly<Record<string, string>> = {
  'relays-full': 'every eligible relay is full',
  'no-relay': 'no relay of the set is eligible',
  'relay-awaited': 'their relay lost its registration a moment ago',
  unavailable: 'etcd is out of reach',
  overloaded: 'this replica has too many requests waiting',
  'not-ready': 'this replica was not ready',
  'no-answer': 'no relay answered in time',
  'relay-full': 'the relays that were asked have no room',
  'relay-unable': 'no relay has what the calls need',
  'relay-error': 'the relay refused them',
  internal: 'a defect; see the log',
};

/** @param isBack of a relay that joined: it was there before */
export function relayRecord({ type, details }: RelayEvent, isBack = false): NewRecord {
  const { set, relay, instance } = details;
  const about = { set, relay, instance };
  const name = `relay ${set}/${relay}`;
  switch (type) {
    case 'relayJoined': {
      const text = isBack ? `${name} is back` : `${name} joined`;
      return { type: 'relay-joined', severity: 'info', text, ...about };
    }
    case 'relayRestarted': {
      const text = `${name} was restarted: the calls that it had are lost, and move`;
      return { type: 'relay-restarted', severity: 'critical', text, ...about };
    }
    case 'relayWeightChanged': {
      const { weight, before, by } = details;
      const text = `${name} now has weight ${weight} instead of ${before}${because('', by)}`;
      return { type: 'relay-weight', severity: 'info', text, ...about, by };
    }
    case 'relayFull': {
      const { calls, capacity } = details;
      const text = `${name} is full: ${calls} of ${capacity} calls`;
      return { type: 'relay-full', severity: 'warning', text, ...about, calls };
    }
    case 'relayHasRoom': {
      const { calls, capacity } = details;
      const text = `${name} has room again: ${calls} of ${capacity} calls`;
      return { type: 'relay-has-room', severity: 'info', text, ...about, calls };
    }
    case 'relaySuspect': {
      const text = `${name} vanished along with many others; checking again first`;
      return { type: 'relay-suspect', severity: 'warning', text, ...about };
    }
    case 'relayBack': {
      return { type: 'relay-joined', severity: 'info', text: `${name} is back`, ...about };
    }
    case 'relayLeft': {
      const { reason, isOrderly } = details;
      const severity = isOrderly ? 'info' : 'critical';
      return { type: 'relay-left', severity, text: `${name} left: ${reason}`, ...about, reason };
    }
  }
}

const states = {
  active: ['relay-resumed', 'takes new calls again'],
  draining: ['relay-drained', 'is draining'],
  disabled: ['relay-disabled', 'is disabled'],
} as const;

export function stateRecord({ type, details }: StateEvent): NewRecord {
  switch (type) {
    case 'relayStateChanged': {
      const { set, relay, instance, state, reason, by } = details;
      const [recorded, words] = states[state];
      const text = `relay ${set}/${relay} ${words}${because(reason, by)}`;
      return { type: recorded, severity: 'info', text, set, relay, instance, reason, by };
    }
    case 'etcdLost': {
      const { reason, newCalls } = details;
      const become = newCalls === 'refused' ? 'refused' : 'given a relay provisionally';
      const text = `etcd lost, new calls are ${become}: ${reason}`;
      return {
        type: reason.includes(noSpace) ? 'etcd-full' : 'etcd-lost',
        severity: 'critical',
        text,
        reason,
      };
    }
    case 'etcdBack': {
      const text = `etcd answers again, after ${(details.lostForMs / 1000).toFixed(1)} s`;
      return { type: 'etcd-back', severity: 'info', text };
    }
    case 'historyChanged': {
      const { reason } = details;
      const text = `etcd may have lost bindings, which are written again: ${reason}`;
      return { type: 'etcd-history', severity: 'warning', text, reason };
    }
    case 'bindingsReasserted': {
      const { reasserted, ended, left } = details;
      const text = `remembered bindings written again: ${reasserted}; ended meanwhile: ${ended}; left: ${left}`;
      return { type: 'etcd-history', severity: 'info', text, calls: reasserted };
    }
    case 'settingsDiffer': {
      const { replica, settings } = details;
      const text = `replica ${replica} has different values for ${settings.join(', ')}`;
      return { type: 'settings-differ', severity: 'warning', text };
    }
  }
}

/** In etcd's own words. */
const noSpace = 'database space exceeded';

export function certificateRecord({ type, details }: CertificateEvent): NewRecord {
  const { purpose } = details;
  const name = `certificate for ${purpose}`;
  switch (type) {
    case 'certificatesChanged': {
      const { validUntilMs } = details;
      const until = validUntilMs === undefined ? '' : `, valid until ${dateOf(validUntilMs)}`;
      return { type: 'certificate-changed', severity: 'info', text: `${name} has changed${until}` };
    }
    case 'certificatesInvalid': {
      const { reason } = details;
      const text = `new ${name} is invalid; keeping the previous one: ${reason}`;
      return { type: 'certificate-invalid', severity: 'warning', text, reason };
    }
    case 'certificateExpires': {
      const { validUntilMs, hasExpired } = details;
      return hasExpired
        ? {
            type: 'certificate-expires',
            severity: 'critical',
            text: `${name} has expired: ${dateOf(validUntilMs)}`,
          }
        : {
            type: 'certificate-expires',
            severity: 'warning',
            text: `${name} expires on ${dateOf(validUntilMs)}`,
          };
    }
  }
}

/** `2030-01-31 12:00 UTC`. */
function dateOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** `: one-way audio, by jo`, or nothing where nothing is known. */
function because(reason: string, by: string): string {
  const cause = causeText(reason, by);
  return cause && `: ${cause}`;
}
