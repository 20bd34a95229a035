import { readFileSync } from 'node:fs';

/** Random id of this boot of the host (proc_sys_kernel(5), `random/boot_id`); empty on a system that has none. */
export function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
