import type { Scope, TestProcess } from './process.js';
import { startProcess } from './process.js';

/**
 * Socket activation like systemd's: opens a UDP socket, passes it to the program (sd_listen_fds(3)), and keeps it open
 * while the program restarts. SIGHUP restarts the program.
 */
const keeper = `
use strict; use IO::Socket::INET; use POSIX ();
$^F = 255;
my ($host, $port, @program) = @ARGV;
my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $host, LocalPort => $port) or die "bind: $!";
if (fileno($socket) != 3) { defined POSIX::dup2(fileno($socket), 3) or die "dup2: $!" }
my ($child, $over) = (0, 0);
$SIG{HUP} = sub { kill 'TERM', $child };
$SIG{TERM} = $SIG{INT} = sub { $over = 1; kill 'TERM', $child };
until ($over) {
  $child = fork() // die "fork: $!";
  if ($child == 0) { $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; exec @program or die "exec: $!" }
  while (waitpid($child, 0) == -1 && $!{EINTR}) {}
}
`;

/** Starts `program` with a UDP socket on `host:port` that stays open until this process ends. */
export function startWithSocket(
  scope: Scope,
  { host, port }: { readonly host: string; readonly port: number },
  program: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<TestProcess> {
  return startProcess(scope, 'perl', ['-e', keeper, host, String(port), ...program], { env });
}
