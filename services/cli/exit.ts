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
 78  (selection, relay-node, check, up) the configuration is wrong: the message says where
`;

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
