import { testWith } from '../support/requirement.js';
import { runHoldfast } from '../support/stack.js';
import { render } from './chart.js';
import { renderTools } from './tools.js';

testWith(renderTools, 'the pod of helm test keeps its logs until the release goes', async (t) => {
  for (const file of ['defaults', 'tls']) {
    const rendered = await render(file);
    const tested = rendered.hook('test');
    const policies = (pod: typeof tested) =>
      pod.metadata.annotations?.['helm.sh/hook-delete-policy']?.split(',').sort();
    t.deepEqual(policies(tested), ['before-hook-creation'], 'helm test --logs reads the logs at the end');

    const removal = rendered.hook('post-delete');
    t.is(removal.metadata.name, tested.metadata.name, 'helm removes the pod that has this name');
    t.is(removal.metadata.namespace, tested.metadata.namespace);
    t.deepEqual(policies(removal), ['before-hook-creation', 'hook-failed', 'hook-succeeded']);
    const {
      serviceAccountName,
      volumes,
      restartPolicy,
      activeDeadlineSeconds = 0,
      containers,
    } = removal.spec;
    t.is(serviceAccountName, undefined, 'the accounts of the release have gone');
    t.is(volumes, undefined, 'and Secrets may have');
    t.is(restartPolicy, 'Never');
    t.true(
      activeDeadlineSeconds > 0 && activeDeadlineSeconds <= 60,
      'an image that is missing holds up nothing',
    );
    t.is((await runHoldfast(t, [...containers[0].args])).code, 0, 'it ends at once');
  }
  const off = await render('defaults', { tests: { enabled: false } });
  t.false(off.names.some((name) => name.startsWith('Pod/')));
});
