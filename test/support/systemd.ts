import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NetworkHost } from './network-host.js';
import type { Scope } from './process.js';
import { eventually } from './registry.js';

const systemd = '/lib/systemd/systemd';
/** What a test needs for a system with systemd. */
export const systemdPrograms = [systemd, 'unshare', 'nsenter', 'pivot_root'] as const;

/** Where systemd finds its own groups: in a hierarchy of its own beside others, or in the only one. */
const named = '/sys/fs/cgroup/systemd';
const hierarchy = existsSync(named) ? named : '/sys/fs/cgroup';
const mountHierarchy = existsSync(named)
  ? 'mkdir $root/sys/fs/cgroup/systemd; mount -t cgroup -o none,name=systemd cgroup $root/sys/fs/cgroup/systemd'
  : 'mount -t cgroup2 cgroup2 $root/sys/fs/cgroup';

const units = '/etc/systemd/own';
/** What others need of a system that has started. */
const targets = ['bare', 'sysinit', 'basic', 'shutdown', 'network-online'];

/**
 * Bash, with the directory of the system. Of the machine it has the files alone, and what it writes is its own: a system that
 * starts empties `/tmp`, sets the kernel's parameters and the rights of devices. Of its units it knows those that are named here.
 */
const boot = `set -e
state=$1 root=$1/root
mount -t tmpfs tmpfs $state
mkdir $state/upper $state/work $root
mount -t overlay overlay -o lowerdir=/,upperdir=$state/upper,workdir=$state/work $root
mount -t proc proc $root/proc
mount --bind $root/proc/sys $root/proc/sys
mount -o remount,bind,ro $root/proc/sys
mount -t sysfs -o ro sysfs $root/sys
for each in dev run tmp sys/fs/cgroup; do mount -t tmpfs -o mode=1777 tmpfs $root/$each; done
for each in null zero full random urandom tty; do touch $root/dev/$each; mount --bind /dev/$each $root/dev/$each; done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts devpts $root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs $root/dev/shm
ln -s pts/ptmx $root/dev/ptmx
ln -s /proc/self/fd $root/dev/fd
${mountHierarchy}
mkdir $root${units}
for each in ${targets.join(' ')}; do
  printf '[Unit]\\nDescription=%s\\nDefaultDependencies=no\\nWants=systemd-journald.socket\\n' $each > $root${units}/$each.target
done
ln -s /lib/systemd/system/{systemd-journald,holdfast-selection}.{service,socket} /lib/systemd/system/holdfast-relay-node@.service $root${units}
mkdir $root/machine
cd $root
# A root of another kind is none in which services can have their own.
pivot_root . machine
umount -l /machine
# What systemd mounts for a service comes from processes of its own.
mount --make-rshared /
exec env -i container=test SYSTEMD_UNIT_PATH=${units} PATH=/usr/sbin:/usr/bin:/sbin:/bin ${systemd} --system --unit=bare.target`;

/**
 * A system of its own on a host: systemd is its first process, and its root is that of this machine, with what is written kept
 * apart. It is gone when the test ends, whatever runs there.
 */
export class System {
  private constructor(
    private readonly host: NetworkHost,
    private readonly init: string,
  ) {}

  /** Resolves when systemd has started. Only root can do this. */
  static async start(scope: Scope, host: NetworkHost): Promise<System> {
    const state = await mkdtemp(join(tmpdir(), 'holdfast-system-'));
    scope.teardown(() => rmdir(state));
    const group = join(hierarchy, state.split('/').at(-1) ?? '');
    await mkdir(group);
    scope.teardown(() => removeGroup(group));
    const namespaces = ['--cgroup', '--pid', '--fork', '--kill-child', '--mount', '--uts', '--ipc'];
    const inGroup = `echo $$ > ${group}/cgroup.procs; exec unshare ${namespaces.join(' ')} bash -c "$0" boot "$1"`;
    const outer = await host.run(['bash', '-c', inGroup, boot, state]);
    let init = '';
    await outer.waitUntil(async () => {
      init = (await readFile(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8')).trim();
      return init !== '' && (await readFile(`/proc/${init}/comm`, 'utf8')) === 'systemd\n';
    }, 'systemd');
    const system = new System(host, init);
    await outer.waitUntil(
      async () => (await system.exec('sh', '-c', 'systemctl is-system-running || true')).trim() === 'running',
      'a system that runs',
    );
    return system;
  }

  /** Runs a program there. @returns its standard output */
  exec(...command: readonly string[]): Promise<string> {
    return this.host.exec('nsenter', `--target=${this.init}`, '--all', '--root', '--wd=/', ...command);
  }

  /** Makes a file of this machine one of the system. */
  copy(from: string, to: string): Promise<void> {
    return copyFile(from, `/proc/${this.init}/root${to}`);
  }
}

/** What was in it may be on its way out. */
function removeGroup(group: string): Promise<void> {
  const isRemoved = () =>
    removeEmptyGroup(group).then(
      () => true,
      () => false,
    );
  return eventually(isRemoved, `removal of ${group}`, 10_000);
}

async function removeEmptyGroup(group: string): Promise<void> {
  const children = await readdir(group, { withFileTypes: true });
  for (const child of children.filter((each) => each.isDirectory())) {
    await removeEmptyGroup(join(group, child.name));
  }
  await rmdir(group);
}
