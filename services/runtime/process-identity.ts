import { readFileSync, readlinkSync } from 'node:fs';
import { readBootId } from './boot-id.js';

/**
 * Names this process among all of all hosts: boot of the host, namespace of process ids, id, and start, separated by spaces.
 * Empty on a system without /proc.
 */
export function processIdentity(): string {
  const start = startOf(process.pid);
  return start === undefined ? '' : [...home(), process.pid, start].join(' ');
}

/** True if the process of this identity was on this host, where such things are known, and is not any more. */
export function hasEnded(identity: string): boolean {
  const [boot, namespace, pid, start] = identity.split(' ');
  const [ownBoot, ownNamespace] = home();
  const isHere = boot !== '' && boot === ownBoot && namespace !== '' && namespace === ownNamespace;
  return isHere && startOf(Number(pid)) !== start;
}

function home(): [bootId: string, pidNamespace: string] {
  try {
    return [readBootId(), readlinkSync('/proc/self/ns/pid')];
  } catch {
    return ['', ''];
  }
}

/** In clock ticks since the boot (proc_pid_stat(5), field 22); undefined if there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(') ') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
