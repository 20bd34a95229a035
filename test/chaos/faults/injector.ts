import type { Fault } from '../plan/fault.js';
import type { Journal } from '../record/journal.js';
import { nowMs } from '../record/now.js';
import type { HistoryRecord } from '../record/records.js';
import type { WatchLog } from '../record/watch-log.js';
import type { Stage } from '../stage/stage.js';
import { wait } from '../wait.js';

/** What a fault has done, and how it is undone. */
interface Hurt {
  readonly subject: string;
  readonly heal: () => unknown;
}

export interface InjectorDeps {
  readonly stage: Stage;
  readonly watchLog: WatchLog;
  readonly history: Journal<HistoryRecord>;
  readonly say: (text: string) => void;
}

/** Does the faults of a schedule at their times, and undoes each. */
export class Injector {
  readonly #deps: InjectorDeps;
  readonly counts = new Map<string, number>();
  #id = 0;

  constructor(deps: InjectorDeps) {
    this.#deps = deps;
  }

  /**
   * Runs the schedule from now on; resolves when the last fault is healed, or soon after the signal.
   * @param onBurst called just before a fault that shall meet a burst of new calls
   */
  async run(faults: readonly Fault[], onBurst: () => void, signal: AbortSignal): Promise<void> {
    const startedAtMs = performance.now();
    const underWay: Promise<void>[] = [];
    for (const fault of faults) {
      await wait(startedAtMs + fault.atMs - performance.now(), signal);
      if (signal.aborted) {
        break;
      }
      if (fault.burst) {
        onBurst();
      }
      underWay.push(this.#inject(fault, signal));
    }
    await Promise.all(underWay);
  }

  async #inject(fault: Fault, signal: AbortSignal): Promise<void> {
    const { history, say } = this.#deps;
    const id = ++this.#id;
    const { kind } = fault;
    const hurt = await this.#hurt(fault);
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    history.write({ type: 'fault', id, kind, phase: 'begin', atMs: nowMs(), subject: hurt.subject });
    say(`${kind} ${hurt.subject}${fault.forMs > 0 ? ` for ${(fault.forMs / 1000).toFixed(1)} s` : ''}`);
    await wait(fault.forMs, signal);
    try {
      await hurt.heal();
    } catch (error) {
      say(
        `${kind} ${hurt.subject}: not healed yet: ${error instanceof Error ? error.message.split('\n')[0] : error}`,
      );
    }
    history.write({ type: 'fault', id, kind, phase: 'end', atMs: nowMs(), subject: hurt.subject });
  }

  async #hurt(fault: Fault): Promise<Hurt> {
    const { stage, watchLog } = this.#deps;
    const { kind, target } = fault;
    switch (kind) {
      case 'leader-kill':
      case 'follower-kill':
      case 'leader-stop':
      case 'follower-stop':
      case 'leader-apart':
      case 'follower-apart':
        return this.#hurtMember(fault);
      case 'compaction':
        // Not past what the watch log has written: that must stay whole.
        await stage.cluster.compact(Math.max(1, watchLog.reached - 1));
        return { subject: 'etcd', heal: () => {} };
      case 'etcd-down': {
        const { members } = stage.cluster;
        await Promise.all(members.map((member) => member.kill()));
        return { subject: 'etcd', heal: () => Promise.all(members.map((member) => member.restart())) };
      }
      case 'replica-kill':
      case 'replica-stop': {
        const { part } = at(stage.replicas, target);
        return hurtPart(part, kind === 'replica-kill');
      }
      case 'node-kill':
      case 'node-stop': {
        const { node } = at(stage.relays, target);
        return hurtPart(node, kind === 'node-kill');
      }
      case 'relay-kill':
      case 'relay-restart': {
        const relay = at(stage.relays, target);
        await relay.killRelay();
        return { subject: relay.id, heal: () => relay.startRelay() };
      }
      case 'relay-stop': {
        const relay = at(stage.relays, target);
        await relay.pauseRelay();
        return { subject: relay.id, heal: () => relay.resumeRelay() };
      }
      case 'link-cut':
      case 'link-freeze':
      case 'link-delay':
        return this.#hurtLink(fault);
    }
  }

  async #hurtMember({ kind, target, everyMember }: Fault): Promise<Hurt> {
    const { cluster } = this.#deps.stage;
    const { members, peers } = cluster;
    const leader = (await cluster.leader()) ?? 0;
    const followers = members.filter((_, i) => i !== leader);
    const member = kind.startsWith('leader') ? at(members, leader) : at(followers, target);
    const subject = `etcd${members.indexOf(member)}`;
    if (kind === 'leader-apart' || kind === 'follower-apart') {
      const ways = peers.of(members.indexOf(member));
      for (const way of ways) {
        if (everyMember) {
          way.cut();
        } else {
          way.freeze();
        }
      }
      return { subject, heal: () => ways.map((way) => way.restore()) };
    }
    if (kind === 'leader-kill' || kind === 'follower-kill') {
      await member.kill();
      return { subject, heal: () => member.restart() };
    }
    await member.pause();
    return { subject, heal: () => member.resume() };
  }

  #hurtLink({ kind, target, everyMember, directions, delayMs }: Fault): Hurt {
    // Replicas have more to hear than relay nodes have.
    const { replicas, parties } = this.#deps.stage;
    const nth = Math.floor(target / 4);
    const ways = [at(replicas, nth).links, at(parties, nth), at(replicas, nth).door, at(parties, nth + 1)];
    const links = at(ways, target % 4);
    const proxies = everyMember ? links.proxies : [at(links.proxies, target)];
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
    const whom =
      proxies.length === links.proxies.length ? links.other : `etcd${target % links.proxies.length}`;
    return {
      subject: `${links.party}→${whom}`,
      heal: () => {
        for (const proxy of proxies) {
          proxy.restore();
        }
      },
    };
  }
}

interface Hurtable {
  readonly name: string;
  start(): Promise<void>;
  kill(): Promise<void>;
  pause(): Promise<void>;
  resume(): void;
}

async function hurtPart(part: Hurtable, kills: boolean): Promise<Hurt> {
  if (kills) {
    await part.kill();
    return { subject: part.name, heal: () => part.start() };
  }
  await part.pause();
  return { subject: part.name, heal: () => part.resume() };
}

function at<T>(list: readonly T[], index: number): T {
  return list[index % list.length] as T;
}
