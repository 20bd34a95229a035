import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Scope, startProcess } from './process.js';
import { findProgram } from './program.js';
import { repository } from './repository.js';

/** What SIP proxies copy. */
export const clientFiles = join(repository, 'test/clients');

/** What a Kamailio needs that asks over gRPC. */
export const kemiPrograms = ['kamailio', 'app_python3.so', 'python3-grpcio', 'protoc', 'grpc_python_plugin'];

export const kemiConfiguration = join(clientFiles, 'kemi.cfg');

/** As README.md says: the script, what it imports, and the stubs, in one directory. @returns where the script is */
export async function installScript(scope: Scope, directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  for (const file of ['kemi.py', 'holdfast_client.py'])
    await copyFile(join(clientFiles, file), join(directory, file));
  const protoc = await startProcess(
    scope,
    findProgram('protoc') ?? 'protoc',
    [
      ...['-I', 'proto', `--python_out=${directory}`, `--grpc_python_out=${directory}`],
      `--plugin=protoc-gen-grpc_python=${findProgram('grpc_python_plugin')}`,
      ...['proto/holdfast/v1/relay.proto', 'proto/holdfast/v1/selection.proto'],
    ],
    { cwd: repository },
  );
  await protoc.success();
  return join(directory, 'kemi.py');
}
