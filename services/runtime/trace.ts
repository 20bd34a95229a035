import { AsyncLocalStorage } from 'node:async_hooks';

/** The trace of whatever runs now. Nothing is stored, and nothing costs, until the first request that is traced. */
const current = new AsyncLocalStorage<string>();

/** `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01` (W3C Trace Context, section 3.2). */
const traceparent = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/;
const maxLength = 256;

/**
 * The trace id of a traceparent. Undefined for what is none: it is to be ignored, as if it had not come. Later versions may
 * have more fields.
 */
export function traceIdOf(text: unknown): string | undefined {
  if (typeof text !== 'string' || text.length > maxLength) {
    return undefined;
  }
  const [, version = 'ff', traceId = '', parentId = '', more] = traceparent.exec(text) ?? [];
  const isNone = version === 'ff' || /^0+$/.test(traceId) || /^0+$/.test(parentId);
  return isNone || (version === '00' && more !== undefined) ? undefined : traceId;
}

/** Runs it, and whatever it starts, in this trace: each line that is logged meanwhile has its id. */
export function inTrace<T>(traceId: string | undefined, run: () => T): T {
  return traceId === undefined ? run() : current.run(traceId, run);
}

/** What log lines have of the trace that they belong to. */
export function traceFields(): { readonly traceId?: string } {
  const traceId = current.getStore();
  return traceId === undefined ? {} : { traceId };
}
