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
    select: async () => answered(await selector.select({ call, requestId, constraints: {} })),
    use: async () => {
      const ttlSeconds = question.ask === 'use' ? question.seconds : undefined;
      return answered(
        await selector.select({ call, requestId, constraints: {}, inDialog: true, ttlSeconds }),
      );
    },
    'select again': async () => answered(await selector.select({ call, requestId, constraints: {} })),
    lookup: async () => answered(await selector.lookup(call)),
    answer: async () => answered(await selector.answered(call, asked.version)),
    move: async () => {
      const cause = { generation, requestId, reason: 'test', by: 'a test' };
      return answered(await selector.move({ call, constraints: {}, ...cause }));
    },
    release: async () => ({ released: await selector.release(call) }),
    'release late': async () => ({ released: await selector.release(call, asked.version) }),
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
  const standing = world.bindings(call).at(-1)?.binding;
  const generation = question.ask === 'move' ? Math.max(1, (standing?.generation ?? 1) - question.behind) : 0;
  const isOfNow = question.ask === 'answer' && question.behind === 0;
  const version = {
    generation: standing?.generation ?? 1,
    beginning: (isOfNow ? standing?.beginning : undefined) ?? 'a former one',
  };
  if (question.ask === 'move') {
    model.moves.set(requestId, generation);
  }
  return { question, requestId, generation, version, atMs: world.clock.monotonicMs() };
}

/** Resolves when the connected replicas know all changes. */
export async function settle(model: Model, world: SelectorWorld): Promise<void> {
  await world.settle(
    world.replicas.filter((_, at) => !model.replicas[at]?.isCut && !model.replicas[at]?.isLate),
  );
}
