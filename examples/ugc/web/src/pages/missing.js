import '../style/missing.css';
import { frame } from '../lib/chrome.js';
import { live } from '../lib/api.js';
import { goLiveDialog } from '../lib/golive.js';

const dialog = goLiveDialog();
frame(dialog.open);
live().then(dialog.update, () => {});
