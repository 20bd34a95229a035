import { timingSafeEqual } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { z } from 'zod';
import { type HoldfastClient, HoldfastRpcError, RelayState } from '../client/index.js';
import { causeText } from '../domain/cause.js';
import { isLocal, json, secured } from '../page/page.js';
import type { HttpAnswer, HttpRequest } from '../runtime/http-server.js';

export interface ActionsDeps {
  /** Asks any of the replicas, with the operator's certificate where there is one. */
  readonly client: Pick<HoldfastClient, 'setIntent' | 'move'>;
  /** Only who has read the page has it. */
  readonly token: string;
  /** Whom replicas hear of where there is no certificate. */
  readonly actor: string;
}

const reason = z.string().trim().min(1).max(256);
const relayAction = z.object({ set: z.string().max(63), id: z.string().max(63), reason });
const moveAction = z.object({
  callId: z.string().max(16_384),
  set: z.string().max(63).optional(),
  branch: z.string().max(256).optional(),
  generation: z.coerce.number().int().min(1),
  target: z.string().max(63).optional(),
  reason,
});

const path = '/api/v1/actions/';

const httpStatusOf: Readonly<Record<number, number>> = {
  [status.INVALID_ARGUMENT]: 400,
  [status.UNAUTHENTICATED]: 403,
  [status.PERMISSION_DENIED]: 403,
  [status.NOT_FOUND]: 404,
  [status.FAILED_PRECONDITION]: 409,
  [status.UNAVAILABLE]: 503,
  [status.DEADLINE_EXCEEDED]: 504,
};

/**
 * What an operator does from the page of a console: drain, resume, move, each with a reason. Nobody else can have it done: a page of
 * another site that the operator has open knows no token and is named in `Origin`, and one whose name leads here is named in `Host`.
 */
export class Actions {
  readonly #deps: ActionsDeps;

  constructor(deps: ActionsDeps) {
    this.#deps = deps;
  }

  readonly routes = (request: HttpRequest): Promise<HttpAnswer> | undefined =>
    request.path.startsWith(path) ? secured(this.#answer(request)) : undefined;

  async #answer({ path: asked, query, headers }: HttpRequest): Promise<HttpAnswer> {
    const refusal = this.#refusal(headers);
    if (refusal !== undefined) {
      return json(403, { error: refusal });
    }
    try {
      return json(200, { done: await this.#carryOut(asked.slice(path.length), Object.fromEntries(query)) });
    } catch (error) {
      if (error instanceof HoldfastRpcError) {
        return json(httpStatusOf[error.code] ?? 502, { error: error.message });
      }
      if (error instanceof z.ZodError) {
        const [issue] = error.issues;
        return json(400, { error: `${issue?.path.join('.') || 'the action'}: ${issue?.message}` });
      }
      throw error;
    }
  }

  /** Why it may come from somebody else than the page. */
  #refusal({ host, origin, ...headers }: HttpRequest['headers']): string | undefined {
    if (!isLocal(host)) {
      return 'a console is served to localhost and to addresses';
    }
    if (origin !== `http://${host}`) {
      return 'this did not come from the page of this console';
    }
    const token = Buffer.from(String(headers['x-holdfast-token'] ?? ''));
    const wanted = Buffer.from(this.#deps.token);
    return token.length === wanted.length && timingSafeEqual(token, wanted)
      ? undefined
      : 'the token is that of another run of this console: load the page again';
  }

  /** @returns what is now, in one sentence */
  async #carryOut(action: string, fields: unknown): Promise<string> {
    switch (action) {
      case 'drain':
      case 'resume':
        return this.#setState(action, relayAction.parse(fields));
      case 'move':
        return this.#move(moveAction.parse(fields));
      default:
        throw new HoldfastRpcError(`there is no action ${action}: drain, resume, move`, {
          code: status.INVALID_ARGUMENT,
        });
    }
  }

  async #setState(
    action: 'drain' | 'resume',
    { set, id, reason }: z.output<typeof relayAction>,
  ): Promise<string> {
    const { client, actor } = this.#deps;
    const state = action === 'drain' ? RelayState.DRAINING : RelayState.ACTIVE;
    const { intent } = await client.setIntent({ set, relayId: id, state, reason, actor });
    const cause = causeText(reason, intent?.actor ?? '');
    return `${set}/${id} ${action === 'drain' ? 'is draining' : 'takes new calls again'}: ${cause}`;
  }

  async #move(fields: z.output<typeof moveAction>): Promise<string> {
    const { callId, set, branch, generation, target, reason } = fields;
    const { client, actor } = this.#deps;
    const { binding } = await client.move({
      callId,
      set,
      viaBranch: branch,
      generation: BigInt(generation),
      reason,
      targetRelayId: target,
      actor,
    });
    return `the call is on ${binding?.relay?.set}/${binding?.relay?.id}, generation ${binding?.generation}; a re-INVITE takes its media there`;
  }
}
