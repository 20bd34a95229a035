import test from 'ava';
import { bandOf, QualityHistory, qualityOf, reportsIn } from '../../../../relay-node/media/quality.js';
import { receptionReport, rtcpReport } from '../../../support/rtp.js';

test('report blocks are read from receiver and sender reports, and from compound packets', (t) => {
  const report = { ssrc: 9, lossRatio: 0.25, lost: -2, jitter: 160 };
  t.deepEqual(reportsIn(receptionReport(1, report)), [report]);
  t.deepEqual(reportsIn(receptionReport(1, report, 200)), [report]);
  const description = Buffer.from('81ca00020000000100000000', 'hex');
  t.deepEqual(reportsIn(Buffer.concat([description, receptionReport(1, report)])), [report]);
  t.deepEqual(reportsIn(rtcpReport(1)), []);
});

test('what is wrong in its lengths says nothing', (t) => {
  const packet = receptionReport(1, { ssrc: 9, lossRatio: 0, lost: 0, jitter: 0 });
  for (let end = 0; end < packet.length; end++) {
    t.deepEqual(reportsIn(packet.subarray(0, end)), []);
  }
  const tooMany = Buffer.from(packet);
  tooMany[0] = 0x9f;
  t.is(reportsIn(tooMany).length, 1, 'no more blocks than there is room for');
  t.notThrows(() => reportsIn(Buffer.alloc(1500, 0xff)));
  t.notThrows(() => reportsIn(Buffer.alloc(1500, 0x80)));
});

test('loss and jitter lower the estimate', (t) => {
  const mos = (lossRatio: number, jitter: number) =>
    qualityOf({ ssrc: 9, lossRatio, lost: 0, jitter }, 8000).mos;
  t.true(mos(0, 0) > 4.3 && mos(0, 0) < 4.5);
  t.true(mos(0.05, 0) < mos(0.01, 0) && mos(0.01, 0) < mos(0, 0));
  t.true(mos(0, 1600) < mos(0, 160) && mos(0, 160) < mos(0, 0));
  t.is(mos(1, 1_000_000), 1);
  t.is(qualityOf({ ssrc: 9, lossRatio: 0, lost: 0, jitter: 160 }, 8000).jitterMs, 20);
  const bands = [0, 0.08, 0.12, 0.5].map((loss) =>
    bandOf(qualityOf({ ssrc: 9, lossRatio: loss, lost: 0, jitter: 0 }, 8000)),
  );
  t.deepEqual(bands, ['good', 'fair', 'poor', 'bad']);
});

test('a history has the average, and the ends', (t) => {
  const of = (lossRatio: number) => qualityOf({ ssrc: 9, lossRatio, lost: 0, jitter: 0 }, 8000);
  const history = new QualityHistory(of(0.1));
  history.add(of(0));
  history.add(of(0.2));
  t.is(history.samples, 3);
  t.is(history.lowest.lossRatio, 0.2);
  t.is(history.highest.lossRatio, 0);
  t.true(Math.abs(history.average.lossRatio - 0.1) < 1e-9);
});
