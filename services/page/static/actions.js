import { $, make, setText } from './dom.js';

// What can be done from a console. The page of a replica has no token, and no buttons.

const token = $('meta[name="holdfast-token"]').content;

/** What is to be done once the reason is given. */
let wanted;

/**
 * @param about in one sentence, for people
 * @returns a button that asks for a reason and then does it; none where nothing can be done
 */
export function actionButton(label, action, fields, about) {
  if (!token) {
    return undefined;
  }
  const button = make('button', { type: 'button', className: 'act' }, `${label} …`);
  button.addEventListener('click', () => open(label, action, fields, about));
  return button;
}

function open(label, action, fields, about) {
  wanted = { action, fields };
  setText($('#action-title'), label);
  setText($('#action-about'), about);
  setText($('#action button[type="submit"]'), label);
  setText($('#action-result'), '');
  $('#action-reason').value = '';
  $('#action-target').value = '';
  $('#action-to').hidden = action !== 'move';
  $('#action button[type="submit"]').hidden = false;
  $('#action').showModal();
  $('#action-reason').focus();
}

async function act() {
  const submit = $('#action button[type="submit"]');
  submit.disabled = true;
  const fields = {
    ...wanted.fields,
    reason: $('#action-reason').value,
    target: $('#action-target').value.trim(),
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '');
  const headers = { 'x-holdfast-token': token };
  try {
    const response = await fetch(`/api/v1/actions/${wanted.action}?${new URLSearchParams(given)}`, {
      method: 'POST',
      headers,
    });
    const { done, error } = await response.json();
    setText($('#action-result'), done ?? `Not done: ${error}`);
    submit.hidden = response.ok;
  } catch {
    setText($('#action-result'), 'The console does not answer: whether it was done is not known.');
  } finally {
    submit.disabled = false;
  }
}

if (token) {
  $('#action form').addEventListener('submit', (event) => {
    event.preventDefault();
    void act();
  });
  $('#action-close').addEventListener('click', () => $('#action').close());
}
