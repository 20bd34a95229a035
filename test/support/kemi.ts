import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KamailioOptions } from './kamailio.js';
import { type Scope, startProcess } from './process.js';
import { repository } from './repository.js';

/** What SIP proxies copy. */
export const clientFiles = join(repository, 'test/e2e/examples/kemi');

/** What a Kamailio needs that asks over gRPC. */
export const kemiPrograms = ['kamailio', 'app_python3.so', 'python3-grpcio', 'protoc', 'grpc_python_plugin'];

export const kemiConfiguration = join(clientFiles, 'kemi.cfg');

/**
 * What a Kamailio needs that uses these replicas.
 * @param replicas where each serves gRPC, host:port
 * @param relays control ports of the relays that they may name, on 127.0.0.1
 */
export async function kemiOptions(
  scope: Scope,
  directory: string,
  replicas: readonly string[],
  relays: readonly number[],
): Promise<Pick<KamailioOptions, 'configuration' | 'defines'>> {
  const script = await installScript(scope, directory);
  const sets = relays.map((port, at) => [`RTPENGINE_${at + 1}`, `"${at + 1} == udp:127.0.0.1:${port}"`]);
  const defines = {
    HOLDFAST: `"ipv4:${replicas.join(',')}"`,
    HOLDFAST_SCRIPT: `"${script}"`,
    WORKERS: '16',
    ...Object.fromEntries(sets),
  };
  return { configuration: kemiConfiguration, defines };
}

/** Runs the commands of proto/README.md that put the script, what it imports and the stubs in place. @returns where the script is */
export async function installScript(scope: Scope, directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const page = await readFile(join(repository, 'proto/README.md'), 'utf8');
  const [commands] = /^ {4}cp test\/e2e\/examples\/kemi\/kemi\.py(.*\n {4})*.*\n/m.exec(page) ?? [];
  if (!commands) {
    throw new Error('proto/README.md does not say how to install kemi.py');
  }
  const here = commands.replaceAll('/etc/kamailio', directory);
  const shell = await startProcess(scope, '/bin/sh', ['-ec', here], { cwd: repository });
  await shell.success();
  return join(directory, 'kemi.py');
}
