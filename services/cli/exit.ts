import { status } from '@grpc/grpc-js';

/** Exit codes, for scripts. `--help` lists them. */
export const exits = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unavailable: 4,
  precondition: 5,
  full: 6,
} as const;

export const exitHelp = `
Exit codes:
  0  done
  1  failed, or not permitted
  2  wrong usage, or a value that the service refuses
  3  the call has no binding
  4  the service, etcd or a relay is unavailable: try again, or try another replica
  5  the call is at another generation than the one named
  6  every relay is at its capacity
 78  (selection, relay-node, up) the configuration is wrong: the message says where
`;

export function exitCodeOf(code: status | undefined): number {
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

/** Ends the command, with a message on standard error and an exit code. */
export class CommandError extends Error {
  override readonly name = 'CommandError';

  constructor(
    message: string,
    readonly exitCode: number = exits.failed,
  ) {
    super(message);
  }
}
