import test from 'ava';
import { RestoreNews } from '../../../../services/selection/carried/restore-news.js';
import { ManualClock } from '../../../support/clock.js';

function listening() {
  const clock = new ManualClock();
  const directory = { restoredRevision: 0 };
  const heard: number[] = [];
  const news = new RestoreNews({ directory, clock }, ({ revision }) => heard.push(revision));
  return { clock, directory, heard, news };
}

test('what relay nodes say at the start is heard at once, and once', async (t) => {
  const { clock, directory, heard, news } = listening();
  directory.restoredRevision = 7;
  news.start();
  t.deepEqual(heard, [7]);
  await clock.pass(20_000);
  t.deepEqual(heard, [7]);
  await news.stop();
});

test('a relay node that notices a little later is heard, and one that does long after is not', async (t) => {
  const { clock, directory, heard, news } = listening();
  news.start();
  await clock.pass(4000);
  directory.restoredRevision = 9;
  await clock.pass(1000);
  t.deepEqual(heard, [9]);
  await clock.pass(10_000);
  directory.restoredRevision = 12;
  await clock.pass(10_000);
  t.deepEqual(heard, [9]);
  await news.stop();
});

test('one that is stopped hears nothing more', async (t) => {
  const { clock, directory, heard, news } = listening();
  news.start();
  const stopped = news.stop();
  directory.restoredRevision = 3;
  await clock.pass(5000);
  await stopped;
  t.deepEqual(heard, []);
});
