import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { scratchDirectory } from '../package/scratch.js';
import { NetworkHost, networkHostPrograms } from '../support/network-host.js';
import type { Scope, TestProcess } from '../support/process.js';
import { findProgram } from '../support/program.js';
import { images } from './paths.js';

const archives = ['etcd', 'holdfast'].map((name) => join(images, `${name}.tar`));

/** `build` makes the images. */
export const containerPrograms = [
  ...networkHostPrograms,
  ...['podman', 'podman-compose', 'python3', 'runc'],
  ...archives,
];

/** Fewer than an engine would like to grant: in a container of its own it must not grant more than it has. */
const limits = '["nofile=4096:4096", "nproc=4096:4096"]';

/** A host with a container engine that has our images, and nothing of the engine that the machine may have. */
export class ContainerHost {
  private constructor(
    readonly network: NetworkHost,
    private readonly env: Readonly<Record<string, string>>,
  ) {}

  static async start(scope: Scope): Promise<ContainerHost> {
    const directory = await scratchDirectory(scope);
    const file = (name: string, text: string) => writeFile(join(directory, name), text);
    await mkdir(join(directory, 'networks'));
    await file(
      'containers.conf',
      `[containers]\ndefault_ulimits = ${limits}\nlog_driver = "k8s-file"\n` +
        `[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\ntmp_dir = "${directory}/tmp"\n` +
        `[network]\nnetwork_config_dir = "${directory}/networks"\n`,
    );
    await file(
      'storage.conf',
      `[storage]\ndriver = "overlay"\ngraphroot = "${directory}/graph"\nrunroot = "${directory}/run"\n`,
    );
    const host = new ContainerHost(await NetworkHost.start(scope), {
      CONTAINERS_CONF: join(directory, 'containers.conf'),
      CONTAINERS_STORAGE_CONF: join(directory, 'storage.conf'),
      PYTHONPATH: dirname(findProgram('podman-compose') ?? ''),
    });
    scope.teardown(async () => {
      const env = { ...process.env, ...host.env };
      await promisify(execFile)('podman', ['rm', '--all', '--force', '--time', '0'], { env });
    });
    for (const archive of archives) {
      await host.podman('load', '--quiet', '--input', archive);
    }
    return host;
  }

  /** @returns its standard output */
  async podman(...args: readonly string[]): Promise<string> {
    return (await this.run('podman', ...args)).success();
  }

  async compose(file: string, ...args: readonly string[]): Promise<string> {
    const started = await this.run('python3', '-m', 'podman_compose', '--file', file, ...args);
    return started.success();
  }

  run(...command: readonly string[]): Promise<TestProcess> {
    return this.network.run(command, { env: this.env });
  }
}
