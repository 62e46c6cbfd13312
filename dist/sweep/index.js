import { sweep } from '../bundle/index.js';

sweep();
