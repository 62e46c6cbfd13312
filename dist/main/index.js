import { share } from '../bundle/index.js';

share();
