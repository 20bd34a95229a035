import { randomUUID } from 'node:crypto';
import { MoveRequest, SelectRequest } from '../../proto/generated/holdfast/v1/selection.js';

/** Fields that are missing or undefined get the defaults that the .proto files state. */
export type Fields<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** With a request id, which stays the same across attempts. */
export function completeSelect(request: Fields<SelectRequest>): SelectRequest {
  return SelectRequest.fromPartial({ ...request, requestId: idOf(request) } as Partial<SelectRequest>);
}

/** With a request id, which stays the same across attempts. */
export function completeMove(request: Fields<MoveRequest>): MoveRequest {
  return MoveRequest.fromPartial({ ...request, requestId: idOf(request) } as Partial<MoveRequest>);
}

function idOf({ requestId }: { readonly requestId?: string | undefined }): string {
  return requestId || randomUUID();
}
