import { Gauge, type Registry } from 'prom-client';
import { version } from './version.js';

/** Reports which version of Holdfast this process is, and which Node runs it. */
export function reportBuild(registry: Registry): void {
  new Gauge({
    name: 'holdfast_build_info',
    help: '1, with the version of Holdfast and of Node in its labels',
    labelNames: ['version', 'node'],
    registers: [registry],
  }).set({ version, node: process.version }, 1);
}
