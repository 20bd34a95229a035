import { type Fault, laneOf } from '../plan/fault.js';
import type { Journal } from '../record/journal.js';
import { nowMs } from '../record/now.js';
import type { HistoryRecord } from '../record/records.js';
import type { WatchLog } from '../record/watch-log.js';
import type { Stage } from '../stage/stage.js';
import { wait } from '../wait.js';
import { HistoryLoss, type Snapshot } from './history-loss.js';

/** A fault with its subject chosen: how to inject it, and how to undo it. */
interface Injection {
  readonly subject: string;
  readonly inject: () => unknown;
  readonly heal: () => unknown;
  /** By how much it sets a wall clock forward. */
  readonly stepMs?: number;
}

export interface InjectorDeps {
  readonly stage: Stage;
  readonly watchLog: WatchLog;
  readonly history: Journal<HistoryRecord>;
  /** For snapshots of etcd. */
  readonly directory: string;
  readonly say: (text: string) => void;
}

/** Injects the faults of a schedule at their times, and heals each. */
export class Injector {
  readonly #deps: InjectorDeps;
  /** Faults injected, by kind. */
  readonly counts = new Map<string, number>();
  readonly #loss: HistoryLoss;
  readonly #snapshots = new Map<Fault, Promise<Snapshot>>();
  #id = 0;

  constructor(deps: InjectorDeps) {
    this.#deps = deps;
    this.#loss = new HistoryLoss(deps.stage, deps.watchLog, deps.directory);
  }

  /**
   * Runs the schedule from now on. Resolves when the last fault is healed, or soon after the signal. A fault waits until
   * the one before it in its lane is healed, which may be late on a loaded machine.
   * @param onBurst called just before a fault that is to coincide with a burst of new calls
   */
  async run(faults: readonly Fault[], onBurst: () => void, signal: AbortSignal): Promise<void> {
    const startedAtMs = performance.now();
    const lanes = new Map<number, Promise<void>>();
    const saving = faults.filter(({ kind }) => kind === 'etcd-restore');
    const saved = Promise.all(saving.map((fault) => this.#save(fault, startedAtMs, signal)));
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
    await Promise.all([...lanes.values(), saved]);
  }

  /** What is restored is saved so long before. */
  async #save(fault: Fault, startedAtMs: number, signal: AbortSignal): Promise<void> {
    await wait(startedAtMs + fault.atMs - fault.ageMs - performance.now(), signal);
    if (signal.aborted) {
      return;
    }
    const saving = this.#loss.save();
    this.#snapshots.set(fault, saving);
    await saving.catch(() => undefined);
  }

  /** A fault that cannot be injected or healed on a loaded machine is reported, and the run goes on. */
  async #run(fault: Fault, onBurst: () => void, signal: AbortSignal): Promise<void> {
    const { history, say } = this.#deps;
    const id = ++this.#id;
    const { kind, forMs } = fault;
    const { subject, inject, heal, stepMs } = await this.#injection(fault);
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
    const step = stepMs === undefined ? {} : { stepMs };
    history.write({ type: 'fault', id, kind, phase: 'begin', atMs: nowMs(), subject, ...step });
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
        const inject = () => stage.cluster.compact(Math.max(1, watchLog.reachedInEtcd - 1));
        return { subject: 'etcd', inject, heal: () => {} };
      }
      case 'etcd-down': {
        const { cluster } = stage;
        return { subject: 'etcd', inject: () => cluster.kill(), heal: () => cluster.restart() };
      }
      case 'etcd-wipe':
      case 'etcd-restore':
        return this.#ofHistory(fault);
      case 'clock-step': {
        const { stepMs } = fault;
        const components = [
          ...stage.replicas.map(({ component }) => component),
          ...stage.relays.map(({ node }) => node),
        ];
        const component = at(components, target);
        return {
          subject: component.name,
          inject: () => component.setClock(stepMs),
          heal: () => component.setClock(0),
          stepMs,
        };
      }
      case 'control-loss': {
        const { id, control } = at(stage.relays, target);
        const { directions } = fault;
        return {
          subject: id,
          inject: () =>
            directions === 'both' ? control.lose('requests', 'answers') : control.lose(directions),
          heal: () => control.restore(),
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

  #ofHistory(fault: Fault): Injection {
    let isLost = false;
    const { kind, isMarked } = fault;
    return {
      subject: 'etcd',
      inject: async () => {
        // Awaited first: there is no restore without something to restore.
        await this.#snapshots.get(fault);
        await this.#loss.detach();
        isLost = true;
      },
      heal: async () => {
        const snapshot = await this.#snapshots.get(fault)?.catch(() => undefined);
        if (isLost && kind === 'etcd-restore' && snapshot) {
          await this.#loss.restore(snapshot, isMarked);
        } else if (isLost) {
          await this.#loss.wipe(isMarked ? `wiped-${this.#id}` : undefined);
        }
      },
    };
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
