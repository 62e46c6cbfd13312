import { audit } from '../bundle/index.js';

audit();
