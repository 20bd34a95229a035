import { homedir } from 'node:os';
import { join } from 'node:path';

/** What is built once for a machine: programs, images, and the state of the cluster that runs. */
export const cache: string = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'holdfast/cluster',
);

/** helm and etcd, which the tests of the chart use too. */
export const chartTools: string = process.env['HOLDFAST_CHART_TOOLS'] ?? join(cache, '..', 'chart-tools');

export const bin: string = join(cache, 'bin');
export const images: string = join(cache, 'images');
/** On a disk, and taken away by `down`. */
export const state: string = join(cache, 'state');
/** Of the cluster's programs. */
export const logs: string = join(state, 'logs');
/** The process that holds the cluster's namespaces, and so the cluster. */
export const pidFile: string = join(cache, 'pid');
export const logFile: string = join(cache, 'log');

/** Where the cluster itself sees `state`: short, because paths of sockets are at most 107 characters long. */
export const inside = '/run/cluster';
export const adminConfig: string = join(inside, 'admin.conf');
