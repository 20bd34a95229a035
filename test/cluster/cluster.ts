import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { removeGroups } from './machine/cgroups.js';
import { adminConfig, bin, chartTools, inside, logFile, pidFile, state } from './paths.js';

const init = fileURLToPath(new URL('./machine/init.js', import.meta.url));

/** Kubelets and network plugins write there, and no setting says where else: the cluster has directories of its own. */
const fixedPaths = ['/var/log', '/var/lib/cni', '/var/lib/kubelet'];

/** The shell is process 1 of the cluster, which has to wait for whatever its parent left behind. */
const script = `set -e
mount -t tmpfs tmpfs /run
mkdir ${inside}
mount --bind "$1" ${inside}
for each in ${fixedPaths.join(' ')}; do
  mkdir -p "$1$each" "$each"
  mount --bind "$1$each" "$each"
done
set +e
"$2" --enable-source-maps "$3" "$4"; exit $?`;

/**
 * Starts a cluster of so many nodes, and resolves when all are ready.
 * @throws Error with the end of its log, and nothing is left of it
 */
export async function startCluster(nodes: number): Promise<void> {
  if (await holder()) {
    throw new Error('a cluster runs already: npm run cluster -- down');
  }
  await mkdir(state, { recursive: true });
  const log = openSync(logFile, 'w');
  // Everything of the cluster is in these namespaces: when their first process ends, so do all others, mounts and devices.
  const child = spawn(
    'unshare',
    [
      ...['--net', '--mount', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'],
      ...['bash', '-c', script, 'init', state, process.execPath, init, String(nodes)],
    ],
    { detached: true, stdio: ['ignore', log, log], cwd: '/' },
  );
  closeSync(log);
  child.unref();
  await once(child, 'spawn');
  await writeFile(pidFile, `${child.pid} ${await startOf(child.pid as number)}`);
  await ready(child).catch(async (error) => {
    await stopCluster();
    throw error;
  });
}

async function ready(child: ChildProcess): Promise<void> {
  for (;;) {
    const log = await readFile(logFile, 'utf8');
    if (/^ready$/m.test(log)) {
      return;
    }
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the cluster did not start:\n${log.slice(-4000)}`);
    }
    await delay(250);
  }
}

/** Ends the cluster, if there is one, and takes away its state. */
export async function stopCluster(): Promise<void> {
  const pid = await holder();
  if (pid !== undefined) {
    process.kill(pid, 'SIGKILL');
    while (await holder()) {
      await delay(100);
    }
  }
  await retried(removeGroups);
  await retried(() => rm(state, { recursive: true, force: true }));
  for (const path of fixedPaths) {
    await rmdir(path).catch(unlessUsed);
  }
  await rm(pidFile, { force: true });
}

/** Such a directory goes if it was made for the cluster. */
function unlessUsed(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') {
    throw error;
  }
}

/** Its last processes and mounts may need a moment to go. */
async function retried(task: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await task();
    } catch (error) {
      if (attempt === 50) {
        throw error;
      }
      await delay(200);
    }
  }
}

/** Runs a program in the cluster's namespaces: it reaches nodes, pods and names. */
export async function spawnInCluster(command: readonly string[]): Promise<ChildProcess> {
  const pid = await holder();
  if (pid === undefined) {
    throw new Error('no cluster runs: npm run cluster -- up');
  }
  const namespaces = [`--net`, '--mount', `--pid=/proc/${pid}/ns/pid_for_children`];
  return spawn('nsenter', [`--target=${pid}`, ...namespaces, `--wd=${process.cwd()}`, ...command], {
    stdio: 'inherit',
    env: {
      ...process.env,
      PATH: [bin, chartTools, process.env['PATH']].join(':'),
      KUBECONFIG: adminConfig,
    },
  });
}

/** The process that holds the cluster; undefined if there is none, or another has got its id. */
async function holder(): Promise<number | undefined> {
  if (!existsSync(pidFile)) {
    return undefined;
  }
  const [pid = '', start = ''] = (await readFile(pidFile, 'utf8')).split(' ');
  return (await startOf(Number(pid))) === start ? Number(pid) : undefined;
}

/** When a process started, in ticks since the machine did; empty if it has ended. proc_pid_stat(5). */
async function startOf(pid: number): Promise<string> {
  const stat = await readFile(join('/proc', String(pid), 'stat'), 'utf8').catch((error) => {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') {
      throw error;
    }
    return '';
  });
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return fields[0] === 'Z' ? '' : (fields[19] ?? '');
}
