import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  bumpedBy,
  type RestoreOptions,
  restoreSnapshot,
  revisionOf,
  saveSnapshot,
} from '../../support/etcd-snapshot.js';
import { findProgram } from '../../support/program.js';
import type { WatchLog } from '../record/watch-log.js';
import type { Stage } from '../stage/stage.js';

const catchUpMs = 10_000;

/** An etcdutl of the version of etcd, if it lies beside it; etcdctl restores for the versions before. */
const etcdutl = findProgram(join(dirname(findProgram('etcd') ?? '/'), 'etcdutl-3.6'));

export interface Snapshot extends RestoreOptions {
  /** As recorded. */
  readonly revision: number;
}

/** Takes what etcd knows away from it. Nobody reaches it from before that until it is back, except the watch log. */
export class HistoryLoss {
  readonly #stage: Stage;
  readonly #watchLog: WatchLog;
  readonly #directory: string;
  #snapshots = 0;

  /** @param directory for snapshots */
  constructor(stage: Stage, watchLog: WatchLog, directory: string) {
    this.#stage = stage;
    this.#watchLog = watchLog;
    this.#directory = directory;
  }

  /** @throws Error if no member can save one */
  async save(): Promise<Snapshot> {
    const file = join(this.#directory, `snapshot-${++this.#snapshots}`);
    const options = { program: etcdutl ?? 'etcdctl', file };
    let failure: unknown;
    for (const member of this.#stage.cluster.members) {
      try {
        await saveSnapshot(member, file);
        const revision = this.#watchLog.recorded(await revisionOf(options));
        return { ...options, revision };
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  /** @throws Error if the watch log cannot catch up: then nothing is lost */
  async detach(): Promise<void> {
    for (const links of this.#stage.parties) {
      links.detach();
    }
    // What was under way in etcd when the connections broke is done by the second time.
    const isWhole = (await this.#watchLog.catchUp(catchUpMs)) && (await this.#watchLog.catchUp(catchUpMs));
    if (!isWhole) {
      this.attach();
      throw new Error('the watch log cannot catch up with etcd');
    }
    await this.#watchLog.stop();
    await this.#stage.cluster.kill();
  }

  attach(): void {
    for (const links of this.#stage.parties) {
      links.attach();
    }
  }

  /** @param token of another cluster than before; the same one, if not given */
  async wipe(token?: string): Promise<void> {
    const { members } = this.#stage.cluster;
    await Promise.all(
      members.map(({ dataDirectory }) => rm(dataDirectory, { recursive: true, force: true })),
    );
    await this.#back(token ? ['--initial-cluster-token', token] : [], 1, 0);
  }

  /** @param bumps raises revisions, if there is an etcdutl that can */
  async restore({ revision, ...snapshot }: Snapshot, bumps: boolean): Promise<void> {
    const isBumped = bumps && etcdutl !== undefined;
    await restoreSnapshot(this.#stage.cluster.members, { ...snapshot, bumps: isBumped });
    const revisionInEtcd = (await revisionOf(snapshot)) + (isBumped ? bumpedBy : 0);
    await this.#back([], revisionInEtcd, revision);
  }

  async #back(moreArgs: readonly string[], revisionInEtcd: number, restoredFrom: number): Promise<void> {
    await this.#stage.cluster.restart(moreArgs);
    this.#watchLog.continueFrom(revisionInEtcd, restoredFrom);
    this.attach();
  }
}
