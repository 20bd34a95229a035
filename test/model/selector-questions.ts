import { parseCall } from '../../services/domain/call.js';
import { HoldfastError } from '../../services/domain/error.js';
import type { Answer } from '../../services/selection/requests.js';
import type { Asked, Model, Question } from './selector-model.js';
import type { Replica, SelectorWorld } from './selector-world.js';

/** Sends a request to a replica, and records the outcome. */

export async function ask(model: Model, world: SelectorWorld, asked: Asked): Promise<void> {
  const { question, requestId, generation } = asked;
  const { selector } = (world.replicas[question.at] as Replica).parts;
  const call = parseCall(question.call);
  const answered = (answer: Answer | undefined) => ({ answer });
  const answering = {
    select: async () => answered(await selector.select({ call, set: 'default', requestId, constraints: {} })),
    begin: async () =>
      answered(await selector.select({ call, set: 'default', requestId, constraints: {}, reopen: true })),
    'select again': async () =>
      answered(await selector.select({ call, set: 'default', requestId, constraints: {} })),
    lookup: async () => answered(await selector.lookup(call)),
    prolong: async () =>
      answered(await selector.prolong(call, question.ask === 'prolong' ? question.seconds : 0)),
    move: async () =>
      answered(await selector.move({ call, generation, reason: 'test', requestId, constraints: {} })),
    release: async () => ({ released: await selector.release(call) }),
  };
  asked.outcome = await answering[question.ask]().catch((error: unknown) => {
    if (!(error instanceof HoldfastError)) {
      throw error;
    }
    return { error: error.code };
  });
  model.requestCount++;
}

export function prepare(model: Model, world: SelectorWorld, question: Question): Asked {
  const { call } = question;
  const isAgain = question.ask === 'select again';
  const fresh = `${question.ask}-${model.requestCount++}`;
  const requestId = (isAgain ? model.requests.get(call) : undefined) ?? fresh;
  if (question.ask === 'select') {
    model.requests.set(call, requestId);
  }
  const standing = world.bindings(call).at(-1)?.binding?.generation ?? 1;
  const generation = question.ask === 'move' ? Math.max(1, standing - question.behind) : 0;
  if (question.ask === 'move') {
    model.moves.set(requestId, generation);
  }
  return { question, requestId, generation, atMs: world.clock.monotonicMs() };
}

/** Resolves when the connected replicas know all changes. */
export async function settle(model: Model, world: SelectorWorld): Promise<void> {
  await world.settle(
    world.replicas.filter((_, at) => !model.replicas[at]?.isCut && !model.replicas[at]?.isLate),
  );
}
