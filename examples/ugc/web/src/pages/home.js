import { live, poll } from '../lib/api.js';
import { cards } from '../lib/cards.js';
import { frame, mark } from '../lib/chrome.js';
import { byId, h, setText } from '../lib/dom.js';
import { count } from '../lib/format.js';
import { goLiveDialog, instructions } from '../lib/golive.js';

const period = 3000;
const dialog = goLiveDialog();
frame(dialog.open);

const [channels, empty, note] = ['channels', 'empty', 'note'].map(byId);
const show = cards(channels);
const how = instructions();
empty.append(
  h('div', { class: 'empty-head' }, mark(),
    h('h2', null, 'The gates are closed'),
    h('p', null, 'Nobody is live at the moment. Open one yourself: it takes a minute, and this page will show it by itself.')),
  how.element);

poll(async (signal) => {
  try {
    const state = await live(signal);
    how.update(state);
    dialog.update(state);
    const none = state.streams.length === 0;
    empty.hidden = !none;
    channels.hidden = none;
    show(state.streams);
    setText(note, none ? 'Waiting for the first channel' : count(state.streams.length, 'channel', 'channels'));
    note.classList.remove('trouble');
  } catch {
    // The cards stay: a server that restarts is back within a poll or two.
    setText(note, 'The server does not answer, trying again…');
    note.classList.add('trouble');
  }
}, period);
