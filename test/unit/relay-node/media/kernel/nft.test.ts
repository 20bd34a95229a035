import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { NftGoneError, NftProcess, RefusedLineError } from '../../../../../relay-node/media/kernel/nft.js';
import { ManualClock, turns } from '../../../../support/clock.js';

/** Answers as nft 1.0.6 does, which prints no prompt: `list` with a table, `bad` with an error, `die` and `hang` with nothing. */
const script = `#!/bin/sh
answer() {
  case "$1" in
    describe*) echo 'payload expression, datatype inet_service (internet network service) (basetype integer), 16 bits' ;;
    list*) printf 'table netdev t {\\n}\\n' ;;
    bad*) printf 'Error: Could not process rule: No such file or directory\\nbad\\n^^^\\n' >&2; return 1 ;;
    die*) echo 'netlink: Error: cache initialization failed: Operation not permitted' >&2; exit 1 ;;
    hang*) exec sleep 600 ;;
  esac
}
if [ "$1" != -i ]; then
  answer "$1"
  exit
fi
while read -r line; do
  echo "$line" >> "$0.log"
  answer "$line"
done
`;

function scripted(
  t: ExecutionContext,
  clock = new ManualClock(),
): { nft: NftProcess; lines: () => string[] } {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-nft-'));
  const program = join(directory, 'nft');
  writeFileSync(program, script);
  chmodSync(program, 0o755);
  const nft = new NftProcess(clock, program);
  t.teardown(async () => {
    await nft.stop();
    rmSync(directory, { recursive: true });
  });
  return { nft, lines: () => readFileSync(`${program}.log`, 'utf8').split('\n') };
}

test('lines are carried out in order, each with its own answer', async (t) => {
  const { nft, lines } = scripted(t);
  const answers = await Promise.allSettled(['add', 'list', 'bad', 'add'].map((line) => nft.run(line)));
  t.deepEqual(
    answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : answer.reason.message)),
    ['', 'table netdev t {\n}\n', 'Could not process rule: No such file or directory', ''],
  );
  t.true(answers[2]?.status === 'rejected' && answers[2].reason instanceof RefusedLineError);
  t.deepEqual(
    lines().filter((line) => !/^(describe.*)?$/.test(line)),
    ['add', 'list', 'bad', 'add'],
  );
});

test('when it dies, all lines fail, and the reason is what it said last', async (t) => {
  const { nft } = scripted(t);
  const answers = await Promise.allSettled(['add', 'die', 'add'].map((line) => nft.run(line)));
  t.deepEqual(
    answers.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  t.is(await nft.ended, 'cache initialization failed: Operation not permitted');
  await t.throwsAsync(nft.run('add'), { instanceOf: NftGoneError, message: /not permitted/ });
});

test('one that does not answer is killed', async (t) => {
  const clock = new ManualClock();
  const { nft } = scripted(t, clock);
  await nft.run('add');
  const hanging = nft.run('hang');
  await turns();
  clock.advance(10_000);
  await t.throwsAsync(hanging, { instanceOf: NftGoneError, message: 'nft ended (SIGKILL)' });
});

test('too many lines that wait are refused', async (t) => {
  const { nft } = scripted(t);
  const lines = Array.from({ length: 1025 }, () => nft.run('add'));
  await t.throwsAsync(lines.at(-1) as Promise<string>, { message: 'nft has not answered 1024 lines' });
  await Promise.all(lines.slice(0, -1));
});

test('what takes long has a process of its own', async (t) => {
  const { nft } = scripted(t);
  t.is(await nft.runApart('list'), 'table netdev t {\n}\n');
  await t.throwsAsync(nft.runApart('bad'), { instanceOf: RefusedLineError });
  await nft.stop();
  t.is(await nft.runApart('list'), 'table netdev t {\n}\n');
});

test('a program that is not there is named', async (t) => {
  const nft = new NftProcess(new ManualClock(), 'no-such-nft');
  await t.throwsAsync(nft.run('add'), { instanceOf: NftGoneError, message: /no-such-nft: not found/ });
  await t.throwsAsync(nft.runApart('add'), { instanceOf: NftGoneError, message: /no-such-nft: not found/ });
});
