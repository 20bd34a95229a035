import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Binding } from '../../services/domain/binding.js';
import { newCall } from '../support/ng.js';
import type { FrontName } from './sip-fronts.js';
import { type MediaRequest, SipCall, type SipCallOptions, type SipEvent, sipEvent } from './sip-trace.js';
import { relayIds, replicaCount, type SipWorld, type Step } from './sip-world.js';

/** What may happen to a relay, or to time. */
const relayEvents = [
  'fills up',
  'runs out of ports',
  'has room',
  'pauses',
  'pauses shortly',
  'resumes',
  'dies',
  'leaves',
  'restarts',
  'times calls out',
  'drains',
  'is active',
] as const;
/** Longer than a proxy lets a new call wait, shorter than one in progress. */
const pauseMs = 700;

export type Event =
  | { readonly at: number; readonly sip: SipEvent }
  | { readonly relay: string; readonly what: (typeof relayEvents)[number] }
  | { readonly seconds: number };

const sipEventAt = fc.record({ at: fc.nat(replicaCount - 1), sip: sipEvent });
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: sipEventAt },
  {
    weight: 3,
    arbitrary: fc.record({ relay: fc.constantFrom(...relayIds), what: fc.constantFrom(...relayEvents) }),
  },
  { weight: 1, arbitrary: fc.record({ seconds: fc.constantFrom(1, 5, 70) }) },
);

const traceOf = <T>(step: fc.Arbitrary<T>) =>
  fc.record({ events: fc.array(step, { minLength: 1, maxLength: 24 }), namesBranches: fc.boolean() });

const one = event.map((each) => [each]);

/** One event after the other. */
export const trace = traceOf(one);
const inDialog: readonly SipEvent['happens'][] = ['reinvite', 'reanswer', 'bye'];
/**
 * What a relay that knows a call by the tag of who began it can be told. Nothing runs out of ports: then rtpengine ends the call,
 * and what names no branch is about all of them, as is a delete that names the callee first. Who has answered, a gateway knows that has heard of it: what belongs to the
 * INVITE goes to one, and all of a call that may be forked.
 */
export const rtpproxyTrace = fc
  .record({ steps: traceOf(one), forks: fc.constantFrom('with SDP' as const, 'none' as const) })
  .map(({ steps: { events }, forks }) => {
    // A gateway that keeps the delete of a branch from the relay does not see that the relay is silent, or has ended the call.
    const hidden = forks === 'none' ? [] : ['pauses', 'dies', 'times calls out'];
    const left: readonly string[] = [...hidden, 'runs out of ports'];
    const told = events.flat().filter((each) => !('what' in each && left.includes(each.what)));
    const named = told.map((each): Event => {
      if (!('sip' in each)) {
        return each;
      }
      const { happens, by } = each.sip;
      const isForked = forks !== 'none';
      const sip = {
        ...each.sip,
        by: isForked && happens === 'bye' ? ('caller' as const) : by,
        names: { to: true, branch: true },
      };
      return { sip, at: !isForked && inDialog.includes(happens) ? each.at : 0 };
    });
    return { events: named.map((each) => [each]), options: { namesBranches: true, forks } };
  });

/** What happens in SIP may happen at once, at several proxies. */
export const crossedTrace = traceOf(
  fc.oneof(
    event.map((each) => [each]),
    fc.array(sipEventAt, { minLength: 2, maxLength: 3 }),
  ),
);

/** As much of a binding as both fronts must agree on. */
const shown = (steps: readonly Step[]): string[] => {
  const beginnings: string[] = [];
  const texts = steps.map(({ binding: { state, relayId, generation, beginning } }) => {
    if (!beginnings.includes(beginning)) {
      beginnings.push(beginning);
    }
    return `${state} ${relayId} ${generation} #${beginnings.indexOf(beginning) + 1}`;
  });
  return texts.filter((text, i) => text !== texts[i - 1]);
};

interface Asked {
  readonly request: MediaRequest;
  /** Which replica is asked. */
  readonly at: number;
}

/** One call, played to one front or to several. */
export class Case {
  readonly #callIds: ReadonlyMap<FrontName, string>;
  readonly #sip: SipCall;
  readonly #log: string[] = [];
  /** Steps of each history that were looked at. */
  readonly #checked = new Map<FrontName, number>();
  readonly #registered = new Set(relayIds);
  /** The last offer was accepted. */
  #wasOffered = false;
  /** A relay may have ended the call, and no proxy has deleted it since. */
  #isUnnoticed = false;

  constructor(
    private readonly world: SipWorld,
    fronts: readonly FrontName[],
    options: SipCallOptions,
  ) {
    this.#callIds = new Map(fronts.map((front) => [front, `${front}-${newCall().callId}`]));
    this.#sip = new SipCall(options);
  }

  /** What happens next, or at the same time: then it is of SIP. */
  async play(...events: readonly Event[]): Promise<void> {
    const requests: Asked[] = [];
    for (const event of events) {
      if ('sip' in event) {
        requests.push(...this.#sip.after(event.sip).map((request) => ({ request, at: event.at })));
      } else if ('seconds' in event) {
        await this.#pass(event.seconds);
      } else if (await this.#happen(event.relay, event.what)) {
        this.#log.push(`${event.relay} ${event.what}`);
      }
    }
    if (events.length > 1) {
      await this.#ask(requests);
    } else {
      for (const asked of requests) {
        await this.#ask([asked]);
      }
    }
    await this.#compare();
  }

  /** All is well again, and whatever was put off is done. */
  async heal(): Promise<void> {
    for (const id of relayIds) {
      for (const what of ['resumes', 'restarts', 'has room', 'is active'] as const) {
        await this.#happen(id, what);
      }
    }
    await this.world.pass(50);
  }

  /** Relays and bindings agree. */
  async conclude(): Promise<void> {
    await this.#compare();
    for (const [front, callId] of this.#callIds) {
      const last = (await this.world.historyOf(front, callId)).at(-1)?.binding;
      const carriers = this.world.carriersOf(front, callId);
      const bound = last && last.state !== 'released' ? [last.relayId] : [];
      const orphans = carriers.filter((id) => !bound.includes(id));
      assert.deepEqual(orphans, [], this.#text(`an orphan of ${callId}`));
      const hasBegun = last?.state === 'answered' || (last?.state === 'setup' && this.#wasOffered);
      if (hasBegun && this.#isRegistered(front, last) && !this.#isUnnoticed) {
        assert.deepEqual(carriers, bound, this.#text(`${callId} has ended, and is ${last.state}`));
      }
    }
  }

  /** At the same time, by each front in its turn. */
  async #ask(requests: readonly Asked[]): Promise<void> {
    const { world } = this;
    const outcomes: boolean[][] = [];
    for (const [front, callId] of this.#callIds) {
      const asked = requests.map(({ request, at }) => world.fronts[front].ask(callId, request, at));
      outcomes.push(await world.drive(Promise.all(asked)));
      await world.calm();
      await world.heardOf(front, callId);
    }
    const [first = []] = outcomes;
    for (const [i, { request, at }] of requests.entries()) {
      if (first[i]) {
        this.#sip.noteDone(request);
      }
      const { command, from, to = '', branch = '' } = request;
      const outcome = `${first[i] ? 'ok' : 'not done'}${requests.length > 1 ? ' (together)' : ''}`;
      this.#log.push(`${command} ${from}>${to} ${branch} at ${at}: ${outcome}`);
      if (command === 'offer') {
        this.#wasOffered = first[i] === true;
      } else if (command === 'delete') {
        this.#isUnnoticed = false;
      }
    }
    // A relay without ports for a branch ends the call.
    this.#isUnnoticed ||= requests.some(({ request }, i) => request.command === 'offer' && !first[i]);
    this.#agree('what one front has done, another has not', outcomes);
    await this.#compare();
  }

  async #compare(): Promise<void> {
    const histories: string[][] = [];
    for (const [front, callId] of this.#callIds) {
      const steps = await this.world.historyOf(front, callId);
      this.#check(front, steps);
      histories.push(shown(steps));
    }
    this.#agree('the histories differ', histories);
  }

  /** What the fronts have brought, in their order, is alike. */
  #agree(what: string, [first, ...others]: readonly unknown[]): void {
    for (const [i, other] of others.entries()) {
      assert.deepEqual(other, first, this.#text(`${what}: ${[...this.#callIds.keys()][i + 1]}`));
    }
  }

  async #pass(seconds: number): Promise<void> {
    // What is put off while a relay is paused is given up after two minutes.
    const isPaused = relayIds.some((id) => this.world.hosts(id)[0]?.state === 'paused');
    await this.world.pass(isPaused ? Math.min(5, seconds) : seconds);
    this.#log.push(`${seconds} s pass`);
  }

  /** What no history may have, of the steps that were not looked at yet. */
  #check(front: FrontName, steps: readonly Step[]): void {
    for (let i = Math.max(1, this.#checked.get(front) ?? 0); i < steps.length; i++) {
      const [before, after] = [steps[i - 1]?.binding, steps[i]?.binding] as [Binding, Binding];
      const text = () => this.#text(`${front}: ${shown(steps.slice(i - 1, i + 1)).join(' → ')}`);
      if (steps[i]?.isAnew) {
        continue;
      }
      assert.ok(after.generation >= before.generation, text());
      const hasMoved = after.instance !== before.instance;
      if (hasMoved && before.state === 'answered') {
        assert.ok(!this.#isRegistered(front, before), text());
      }
      if (hasMoved && after.beginning !== before.beginning) {
        assert.ok(!this.#isRegistered(front, before), text());
      }
    }
    this.#checked.set(front, steps.length);
  }

  #isRegistered(front: FrontName, { relayId, instance }: Binding): boolean {
    return this.#registered.has(relayId) && this.world.instanceOf(front, relayId) === instance;
  }

  async #happen(id: string, what: (typeof relayEvents)[number]): Promise<boolean> {
    const { world } = this;
    const hosts = world.hosts(id);
    const state = hosts[0]?.state;
    switch (what) {
      case 'fills up':
      case 'has room':
      case 'runs out of ports':
        for (const { model } of hosts) {
          model.isFull = what === 'fills up';
          model.isOutOfPorts = what === 'runs out of ports';
        }
        return true;
      case 'times calls out':
        for (const { model } of hosts) {
          model.forgetAll();
        }
        this.#isUnnoticed = true;
        return true;
      case 'pauses':
        if (state !== 'up') {
          return false;
        }
        world.pause(id);
        return true;
      case 'pauses shortly':
        // By then the one front may have been asked, and the other not.
        if (state !== 'up' || this.#callIds.size > 1) {
          return false;
        }
        world.pause(id);
        world.clock.after(pauseMs, () => {
          if (world.hosts(id)[0]?.state === 'paused') {
            world.resume(id);
          }
        });
        return true;
      case 'resumes':
        if (state !== 'paused') {
          return false;
        }
        world.resume(id);
        if (this.#callIds.size > 1) {
          // Until what was put off has been done: when it is tried again is a matter of chance.
          await world.pass(8);
        }
        return true;
      case 'dies':
        if (state === 'dead') {
          return false;
        }
        world.kill(id);
        return true;
      case 'leaves':
        if (state !== 'dead') {
          return false;
        }
        this.#registered.delete(id);
        await world.deregister(id);
        return true;
      case 'restarts':
        if (state !== 'dead') {
          return false;
        }
        await world.restart(id);
        this.#registered.add(id);
        return true;
      default:
        await world.drain(id, what === 'drains');
        return true;
    }
  }

  #text(what: string): string {
    return `${what}\n${this.#log.join('\n')}`;
  }
}
