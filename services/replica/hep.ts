import { hostname } from 'node:os';
import type { Events } from '../domain/events.js';
import type { Membership } from '../domain/membership.js';
import type { MirroredCommand } from '../gateway/front.js';
import { CallLog } from '../hep/call-log.js';
import { HepSender } from '../hep/sender.js';
import { parseAddress } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { SelectionConfig } from './config.js';

interface HepDeps {
  readonly events: Events;
  readonly directory: Pick<Membership, 'get'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is told over HEP, if anything is: the events of calls, and on request the commands of the ng gateway. */
export function openHep({ hep, hepId, hepNg }: SelectionConfig, { events, directory, clock, log }: HepDeps) {
  if (!hep) {
    return undefined;
  }
  const sender = new HepSender({ to: hep, agent: { id: hepId, node: hostname() }, clock, log });
  const calls = new CallLog({
    sender,
    clock,
    addressOf: (set, relay) =>
      parseAddress((directory.get(set, relay)?.relay.controlUrl ?? '').replace(/^\w+:/, '')),
  });
  events.subscribe((event) => calls.hear(event));
  const mirror = ({ callId, datagram, from, to }: MirroredCommand) =>
    sender.send({ type: 'ng', payload: datagram, correlationId: callId, from, to, atMs: clock.wallMs() });
  return { sender, mirror: hepNg === 'on' ? mirror : undefined };
}
