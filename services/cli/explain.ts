import { status } from '@grpc/grpc-js';
import { HoldfastRpcError } from '../client/index.js';
import type { TlsMaterial } from '../runtime/tls-material.js';
import { CommandError, exits } from './exit.js';
import { diagnose } from './trust.js';

/** How long a command waits for a replica. */
export const timeoutMs = 5000;

/** A relay is named that is not there; other errors of this status are about calls. */
const unknownRelay = 'RELAY_NOT_REGISTERED';
const help = '(--server or HOLDFAST_SERVER names another)';

/** A failed request as the end of a command: what is wrong, and what to do about it. Other errors stay as they are. */
export async function explain(error: unknown, trust: TlsMaterial | undefined): Promise<unknown> {
  if (!(error instanceof HoldfastRpcError)) {
    return error;
  }
  const { code, reason, server = '' } = error;
  const distrust =
    code === status.UNAVAILABLE && reason === undefined ? await diagnose(server, trust) : undefined;
  return distrust === undefined
    ? new CommandError(meaningOf(error), exitCodeOf(error))
    : new CommandError(distrust, exits.failed);
}

function meaningOf({ code, reason, message, server }: HoldfastRpcError): string {
  if (code === status.UNAVAILABLE && /No connection established|Connection dropped/.test(message)) {
    return `no Holdfast replica answers at ${server}: is it running? ${help}`;
  }
  if (code === status.UNAVAILABLE && message.startsWith('Name resolution failed')) {
    return `the host of ${server} has no address: is the name right? ${help}`;
  }
  if (code === status.UNIMPLEMENTED || message.startsWith('Received HTTP status code')) {
    return `the server at ${server} is not a Holdfast replica ${help}`;
  }
  if (code === status.DEADLINE_EXCEEDED) {
    return `the replica at ${server} did not answer within ${timeoutMs / 1000} s ${help}`;
  }
  if (reason === unknownRelay) {
    return `${message} (holdfast relays lists those that are; --absent-ok accepts one that will register later)`;
  }
  return `${status[code] ?? code}: ${message}`;
}

function exitCodeOf({ code, reason }: HoldfastRpcError): number {
  if (reason === unknownRelay) {
    return exits.failed;
  }
  switch (code) {
    case status.INVALID_ARGUMENT:
      return exits.usage;
    case status.NOT_FOUND:
      return exits.notFound;
    case status.UNAVAILABLE:
    case status.DEADLINE_EXCEEDED:
      return exits.unavailable;
    case status.FAILED_PRECONDITION:
      return exits.precondition;
    case status.RESOURCE_EXHAUSTED:
      return exits.full;
    default:
      return exits.failed;
  }
}
