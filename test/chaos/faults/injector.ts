import { type Fault, laneOf } from '../plan/fault.js';
import type { Journal } from '../record/journal.js';
import { nowMs } from '../record/now.js';
import type { HistoryRecord } from '../record/records.js';
import type { WatchLog } from '../record/watch-log.js';
import type { Stage } from '../stage/stage.js';
import { wait } from '../wait.js';

/** A fault with its subject chosen: how to inject it, and how to undo it. */
interface Injection {
  readonly subject: string;
  readonly inject: () => unknown;
  readonly heal: () => unknown;
}

export interface InjectorDeps {
  readonly stage: Stage;
  readonly watchLog: WatchLog;
  readonly history: Journal<HistoryRecord>;
  readonly say: (text: string) => void;
}

/** Injects the faults of a schedule at their times, and heals each. */
export class Injector {
  readonly #deps: InjectorDeps;
  /** Faults injected, by kind. */
  readonly counts = new Map<string, number>();
  #id = 0;

  constructor(deps: InjectorDeps) {
    this.#deps = deps;
  }

  /**
   * Runs the schedule from now on. Resolves when the last fault is healed, or soon after the signal. A fault waits until
   * the one before it in its lane is healed, which may be late on a loaded machine.
   * @param onBurst called just before a fault that is to coincide with a burst of new calls
   */
  async run(faults: readonly Fault[], onBurst: () => void, signal: AbortSignal): Promise<void> {
    const startedAtMs = performance.now();
    const lanes = new Map<number, Promise<void>>();
    for (const fault of faults) {
      await wait(startedAtMs + fault.atMs - performance.now(), signal);
      if (signal.aborted) {
        break;
      }
      const lane = laneOf(fault.kind);
      const inject = async () => {
        if (!signal.aborted) {
          await this.#run(fault, onBurst, signal);
        }
      };
      lanes.set(lane, (lanes.get(lane) ?? Promise.resolve()).then(inject));
    }
    await Promise.all(lanes.values());
  }

  /** A fault that cannot be injected or healed on a loaded machine is reported, and the run goes on. */
  async #run(fault: Fault, onBurst: () => void, signal: AbortSignal): Promise<void> {
    const { history, say } = this.#deps;
    const id = ++this.#id;
    const { kind, forMs } = fault;
    const { subject, inject, heal } = await this.#injection(fault);
    const attempt = async (action: () => unknown, failure: string): Promise<boolean> => {
      try {
        await action();
        return true;
      } catch (error) {
        const reason = error instanceof Error ? error.message.split('\n')[0] : error;
        say(`${kind} ${subject}: ${failure}: ${reason}`);
        return false;
      }
    };
    if (fault.burst) {
      onBurst();
    }
    // Recorded before it is injected: part of the effect comes at once, however long the rest takes.
    history.write({ type: 'fault', id, kind, phase: 'begin', atMs: nowMs(), subject });
    if (await attempt(inject, 'not injected')) {
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
      say(`${kind} ${subject}${forMs > 0 ? ` for ${(forMs / 1000).toFixed(1)} s` : ''}`);
    }
    await wait(forMs, signal);
    await attempt(heal, 'not healed yet');
    history.write({ type: 'fault', id, kind, phase: 'end', atMs: nowMs(), subject });
  }

  async #injection(fault: Fault): Promise<Injection> {
    const { stage, watchLog } = this.#deps;
    const { kind, target } = fault;
    switch (kind) {
      case 'leader-kill':
      case 'follower-kill':
      case 'leader-stop':
      case 'follower-stop':
      case 'leader-apart':
      case 'follower-apart':
        return this.#ofMember(fault);
      case 'compaction': {
        // Only up to what the watch log has written, which must stay complete.
        const inject = () => stage.cluster.compact(Math.max(1, watchLog.reached - 1));
        return { subject: 'etcd', inject, heal: () => {} };
      }
      case 'etcd-down': {
        const { members } = stage.cluster;
        return {
          subject: 'etcd',
          inject: () => Promise.all(members.map((member) => member.kill())),
          heal: () => Promise.all(members.map((member) => member.restart())),
        };
      }
      case 'replica-kill':
      case 'replica-stop':
        return ofComponent(at(stage.replicas, target).component, kind === 'replica-kill');
      case 'node-kill':
      case 'node-stop':
        return ofComponent(at(stage.relays, target).node, kind === 'node-kill');
      case 'relay-kill':
      case 'relay-restart': {
        const relay = at(stage.relays, target);
        return { subject: relay.id, inject: () => relay.killRelay(), heal: () => relay.startRelay() };
      }
      case 'relay-stop': {
        const relay = at(stage.relays, target);
        return { subject: relay.id, inject: () => relay.pauseRelay(), heal: () => relay.resumeRelay() };
      }
      case 'link-cut':
      case 'link-freeze':
      case 'link-delay':
        return this.#ofLink(fault);
    }
  }

  async #ofMember({ kind, target, everyMember }: Fault): Promise<Injection> {
    const { cluster } = this.#deps.stage;
    const { members, peers } = cluster;
    const leader = (await cluster.leader()) ?? 0;
    const followers = members.filter((_, i) => i !== leader);
    const member = kind.startsWith('leader') ? at(members, leader) : at(followers, target);
    const subject = `etcd${members.indexOf(member)}`;
    if (kind === 'leader-apart' || kind === 'follower-apart') {
      const links = peers.of(members.indexOf(member));
      return {
        subject,
        inject: () => links.map((link) => (everyMember ? link.cut() : link.freeze())),
        heal: () => links.map((link) => link.restore()),
      };
    }
    if (kind === 'leader-kill' || kind === 'follower-kill') {
      return { subject, inject: () => member.kill(), heal: () => member.restart() };
    }
    return { subject, inject: () => member.pause(), heal: () => member.resume() };
  }

  #ofLink({ kind, target, everyMember, directions, delayMs }: Fault): Injection {
    // Replicas are hurt more often than relay nodes: they depend more on what etcd tells them.
    const { replicas, parties } = this.#deps.stage;
    const nth = Math.floor(target / 4);
    const choices = [at(replicas, nth).links, at(parties, nth), at(replicas, nth).door, at(parties, nth + 1)];
    const links = at(choices, target % 4);
    const proxies = everyMember ? links.proxies : [at(links.proxies, target)];
    const other =
      proxies.length === links.proxies.length ? links.other : `etcd${target % links.proxies.length}`;
    const inject = () => {
      for (const proxy of proxies) {
        if (kind === 'link-cut') {
          proxy.cut();
        } else if (kind === 'link-delay') {
          proxy.delay(delayMs);
        } else if (directions === 'both') {
          proxy.freeze();
        } else {
          proxy.freeze(directions);
        }
      }
    };
    return {
      subject: `${links.party}→${other}`,
      inject,
      heal: () => proxies.map((proxy) => proxy.restore()),
    };
  }
}

interface Pausable {
  readonly name: string;
  start(): Promise<void>;
  kill(): Promise<void>;
  pause(): Promise<void>;
  resume(): void;
}

function ofComponent(component: Pausable, kills: boolean): Injection {
  const subject = component.name;
  return kills
    ? { subject, inject: () => component.kill(), heal: () => component.start() }
    : { subject, inject: () => component.pause(), heal: () => component.resume() };
}

function at<T>(list: readonly T[], index: number): T {
  return list[index % list.length] as T;
}
