import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Scope, startProcess } from './process.js';
import { repository } from './repository.js';

/** Files that users copy to their SIP proxies. */
export const clientFiles = join(repository, 'test/clients');

/** Programs for a Kamailio that uses gRPC. */
export const kemiPrograms = ['kamailio', 'app_python3.so', 'python3-grpcio', 'protoc', 'grpc_python_plugin'];

export const kemiConfiguration = join(clientFiles, 'kemi.cfg');

/** Runs the commands of README.md that install the script, its imports and the stubs. @returns the script's path */
export async function installScript(scope: Scope, directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const readme = await readFile(join(repository, 'README.md'), 'utf8');
  const [commands] = /^ {4}cp test\/clients\/kemi\.py(.*\n {4})*.*\n/m.exec(readme) ?? [];
  if (!commands) {
    throw new Error('README.md does not say how to install kemi.py');
  }
  const here = commands.replaceAll('/etc/kamailio', directory);
  const shell = await startProcess(scope, '/bin/sh', ['-ec', here], { cwd: repository });
  await shell.success();
  return join(directory, 'kemi.py');
}
