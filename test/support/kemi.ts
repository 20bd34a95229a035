import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Scope, startProcess } from './process.js';
import { repository } from './repository.js';

/** What SIP proxies copy. */
export const clientFiles = join(repository, 'test/clients');

/** What a Kamailio needs that asks over gRPC. */
export const kemiPrograms = ['kamailio', 'app_python3.so', 'python3-grpcio', 'protoc', 'grpc_python_plugin'];

export const kemiConfiguration = join(clientFiles, 'kemi.cfg');

/** Runs the commands of proto/README.md that put the script, what it imports and the stubs in place. @returns where the script is */
export async function installScript(scope: Scope, directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const page = await readFile(join(repository, 'proto/README.md'), 'utf8');
  const [commands] = /^ {4}cp test\/clients\/kemi\.py(.*\n {4})*.*\n/m.exec(page) ?? [];
  if (!commands) {
    throw new Error('proto/README.md does not say how to install kemi.py');
  }
  const here = commands.replaceAll('/etc/kamailio', directory);
  const shell = await startProcess(scope, '/bin/sh', ['-ec', here], { cwd: repository });
  await shell.success();
  return join(directory, 'kemi.py');
}
