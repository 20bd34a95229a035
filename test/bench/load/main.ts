import { ControlCommands } from './control.js';
import { EtcdCreates, openEtcdBytes } from './etcd.js';
import type { Answer, Job, Target } from './job.js';
import { run } from './loops.js';
import type { Operations } from './operations.js';
import { type Method, Numbers, requestNumber, streamMethod, unaryMethod } from './requests.js';
import { StreamCalls } from './stream.js';
import { UnaryCalls } from './unary.js';

/** The load generator: a separate process, so that its cost does not count as that of what it measures. */
process.on('message', (job: Job) => {
  void answer(job).then((text) => process.send?.(text));
});
process.on('disconnect', () => process.exit());

async function answer({ target, loop, watch }: Job): Promise<Answer> {
  let operations: Operations | undefined;
  try {
    operations = await open(target);
    return { result: await run(operations, loop, watch ?? []) };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  } finally {
    await operations?.close();
  }
}

async function open(target: Target): Promise<Operations> {
  switch (target.kind) {
    case 'unary':
      return UnaryCalls.open(optionsOf(target, unaryMethod(target.method, target.calls)));
    case 'stream':
      return StreamCalls.open({
        ...optionsOf(target, streamMethod(target.method, target.calls)),
        numberOf: target.method === 'SelectStream' ? requestNumber : undefined,
      });
    case 'etcd':
      return new EtcdCreates(target);
    case 'etcd-bytes':
      return openEtcdBytes(target);
    case 'control':
      return ControlCommands.open(target);
  }
}

function optionsOf(target: Extract<Target, { kind: 'unary' | 'stream' }>, method: Method) {
  const { ports, connections, calls, expect } = target;
  const numbers = new Numbers(calls);
  return {
    ports,
    connections,
    path: method.path,
    request: (number: number) => method.request(number),
    nextNumber: () => numbers.next(),
    expect: expect && { isExpected: (message: Buffer) => method.isExpected(message, expect) },
  };
}
