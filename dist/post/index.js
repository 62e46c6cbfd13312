import { post } from '../bundle/index.js';

post();
