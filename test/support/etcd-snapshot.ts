import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { RealEtcd } from './etcd-cluster.js';
import { findProgram } from './program.js';

const run = promisify(execFile);
const env = { ...process.env, ETCDCTL_API: '3' };

/** By how much `--bump-revision` raises the revision of what is restored. */
export const bumpedBy = 1_000_000_000;

export interface RestoreOptions {
  /** `etcdctl`, or the name of an `etcdutl`, which etcd has since 3.5. */
  readonly program: string;
  readonly file: string;
  /** Raises the revisions and marks those before as compacted; etcdutl 3.6 can. */
  readonly bumps?: boolean;
}

/** Saves what this member has. */
export async function saveSnapshot({ endpoint }: RealEtcd, file: string): Promise<void> {
  await run(path('etcdctl'), ['--endpoints', endpoint, 'snapshot', 'save', file], { env });
}

/** The revision of a snapshot. */
export async function revisionOf({ program, file }: RestoreOptions): Promise<number> {
  const { stdout } = await run(path(program), ['snapshot', 'status', file, '--write-out=json'], { env });
  return Number((JSON.parse(stdout) as { revision: number }).revision);
}

/** Replaces the data of all members, which do not run, by the snapshot. */
export async function restoreSnapshot(
  members: readonly RealEtcd[],
  { program, file, bumps = false }: RestoreOptions,
): Promise<void> {
  const cluster = members.map(({ member: { name, peerUrl } }) => `${name}=${peerUrl}`).join(',');
  for (const { member, dataDirectory } of members) {
    await rm(dataDirectory, { recursive: true, force: true });
    const args = [
      ...['snapshot', 'restore', file, '--name', member.name, '--data-dir', dataDirectory],
      ...['--initial-cluster', cluster, '--initial-advertise-peer-urls', member.peerUrl],
      ...(bumps ? ['--bump-revision', String(bumpedBy), '--mark-compacted'] : []),
    ];
    await run(path(program), args, { env });
  }
}

function path(program: string): string {
  const found = findProgram(program);
  if (!found) {
    throw new Error(`${program} is not installed`);
  }
  return found;
}
