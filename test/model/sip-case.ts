import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Binding } from '../../services/domain/binding.js';
import { newCall } from '../support/ng.js';
import { type MediaRequest, SipCall, type SipEvent, sipEvent } from './sip-trace.js';
import { relayIds, replicaCount, type SipWorld, type Step } from './sip-world.js';

/** What may happen to a relay, or to time. */
const relayEvents = [
  'fills up',
  'has room',
  'pauses',
  'resumes',
  'dies',
  'leaves',
  'restarts',
  'drains',
  'is active',
] as const;
export type Event =
  | { readonly at: number; readonly sip: SipEvent }
  | { readonly relay: string; readonly what: (typeof relayEvents)[number] }
  | { readonly seconds: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ at: fc.nat(replicaCount - 1), sip: sipEvent }) },
  {
    weight: 3,
    arbitrary: fc.record({ relay: fc.constantFrom(...relayIds), what: fc.constantFrom(...relayEvents) }),
  },
  { weight: 1, arbitrary: fc.record({ seconds: fc.constantFrom(1, 5, 70) }) },
);

export const trace = fc.record({
  events: fc.array(event, { minLength: 1, maxLength: 24 }),
  namesBranches: fc.boolean(),
});

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

/** One call, played to both fronts. */
export class Case {
  readonly #names = { ng: `ng-${newCall().callId}`, grpc: `grpc-${newCall().callId}` };
  readonly #sip: SipCall;
  readonly #log: string[] = [];
  readonly #checked = { ng: 0, grpc: 0 };
  readonly #registered = new Set(relayIds);

  constructor(
    private readonly world: SipWorld,
    namesBranches: boolean,
  ) {
    this.#sip = new SipCall(namesBranches);
  }

  async play(event: Event): Promise<void> {
    if ('sip' in event) {
      for (const request of this.#sip.after(event.sip)) {
        await this.#ask(request, event.at);
      }
    } else if ('seconds' in event) {
      const isPaused = relayIds.some((id) => this.world.relays.host(id).state === 'paused');
      await this.world.pass(isPaused ? Math.min(5, event.seconds) : event.seconds);
      this.#log.push(`${event.seconds} s pass`);
    } else if (await this.#happen(event.relay, event.what)) {
      this.#log.push(`${event.relay} ${event.what}`);
    }
    await this.#compare();
  }

  /** All is well again, and whatever was put off is done. */
  async finish(): Promise<void> {
    for (const id of relayIds) {
      await this.#happen(id, 'resumes');
      await this.#happen(id, 'restarts');
      await this.#happen(id, 'has room');
      await this.#happen(id, 'is active');
    }
    await this.world.pass(50);
    await this.#compare();
    for (const callId of Object.values(this.#names)) {
      const last = (await this.world.historyOf(callId)).at(-1)?.binding;
      const carriers = this.world.relays.carriersOf(callId);
      const carrier = last && last.state !== 'released' ? [last.relayId] : [];
      assert.deepEqual(
        carriers.filter((id) => !carrier.includes(id)),
        [],
        this.#text(`${callId} is an orphan`),
      );
      if (last?.state === 'answered' && this.#isRegistered(last)) {
        assert.deepEqual(carriers, carrier, this.#text(`${callId} has ended, and is not released`));
      }
    }
    for (const id of relayIds) {
      this.world.relays.host(id).model.forgetAll();
    }
  }

  async #ask(request: MediaRequest, at: number): Promise<void> {
    const { ng, grpc } = this.#names;
    const { command, from, to = '', branch = '' } = request;
    const text = `${command} ${from}>${to} ${branch} at ${at}`;
    const byNg = await this.world.drive(this.world.ng.ask(ng, request, at));
    await this.world.calm();
    const byGrpc = await this.world.drive(this.world.grpc.ask(grpc, request, at));
    await this.world.calm();
    this.#log.push(`${text}: ${byNg ? 'ok' : 'not done'}`);
    assert.equal(byGrpc, byNg, this.#text(`what is asked by gRPC is ${byGrpc ? '' : 'not '}done`));
    await this.world.heardOf(ng);
    await this.world.heardOf(grpc);
    await this.#compare();
  }

  async #compare(): Promise<void> {
    const ng = await this.world.historyOf(this.#names.ng);
    const grpc = await this.world.historyOf(this.#names.grpc);
    this.#check('ng', ng);
    this.#check('grpc', grpc);
    assert.deepEqual(shown(grpc), shown(ng), this.#text('the histories differ'));
  }

  /** What no history may have, of the steps that were not looked at yet. */
  #check(front: 'ng' | 'grpc', steps: readonly Step[]): void {
    for (let i = Math.max(1, this.#checked[front]); i < steps.length; i++) {
      const [before, after] = [steps[i - 1]?.binding, steps[i]?.binding] as [Binding, Binding];
      const text = () => this.#text(`${front}: ${shown(steps.slice(i - 1, i + 1)).join(' → ')}`);
      assert.ok(after.generation >= before.generation, text());
      const hasMoved = after.instance !== before.instance;
      if (hasMoved && before.state === 'answered') {
        assert.ok(!this.#isRegistered(before), text());
      }
      if (hasMoved && after.beginning !== before.beginning) {
        assert.ok(!this.#isRegistered(before), text());
      }
    }
    this.#checked[front] = steps.length;
  }

  #isRegistered({ relayId, instance }: Binding): boolean {
    return this.#registered.has(relayId) && this.world.relays.host(relayId).instance === instance;
  }

  async #happen(id: string, what: (typeof relayEvents)[number]): Promise<boolean> {
    const { world } = this;
    const host = world.relays.host(id);
    switch (what) {
      case 'fills up':
      case 'has room':
        host.model.isFull = what === 'fills up';
        return true;
      case 'pauses':
        if (host.state !== 'up') {
          return false;
        }
        host.state = 'paused';
        return true;
      case 'resumes':
        if (host.state !== 'paused') {
          return false;
        }
        world.relays.resume(id);
        // Until what was put off has been done: when it is tried again is a matter of chance.
        await world.pass(8);
        return true;
      case 'dies':
        if (host.state === 'dead') {
          return false;
        }
        world.relays.kill(id);
        return true;
      case 'leaves':
        if (host.state !== 'dead') {
          return false;
        }
        this.#registered.delete(id);
        await world.deregister(id);
        return true;
      case 'restarts':
        if (host.state !== 'dead') {
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
