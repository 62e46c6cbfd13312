import { recall } from '../bundle/index.js';

recall();
